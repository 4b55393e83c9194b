// Package printable makes text that others wrote harmless to the terminal that shows it, for the verbs' tables, their JSON, and exports.
//
// The one thing to know: what a terminal obeys is more than the controls below U+0020, which JSON escapes anyway. DEL and the C1 controls
// U+0080 to U+009F are commands to many terminals, and bidirectional controls show a text in another order than it has.
package printable

import (
	"fmt"
	"slices"
	"strings"
	"unicode"
	"unicode/utf16"
	"unicode/utf8"
)

// Text returns s with \u escapes in place of all that is not printed, line ends included.
func Text(s string) string {
	var b strings.Builder
	for _, r := range strings.ToValidUTF8(s, "\uFFFD") {
		if printed(r) {
			b.WriteRune(r)
		} else {
			fmt.Fprintf(&b, "\\u%04x", r)
		}
	}
	return b.String()
}

// JSON returns valid JSON that says the same as document, with \u escapes in place of all that is not printed. Outside of strings JSON has
// nothing of the kind but white space, which stays.
func JSON(document []byte) []byte {
	first := slices.IndexFunc(document, func(c byte) bool { return c >= 0x7f })
	if first < 0 {
		return document
	}
	escaped := append(make([]byte, 0, len(document)+len(document)/8), document[:first]...)
	for rest := document[first:]; len(rest) > 0; {
		r, size := utf8.DecodeRune(rest)
		switch high, low := utf16.EncodeRune(r); {
		case r == utf8.RuneError && size == 1:
			escaped = append(escaped, `\ufffd`...)
		case printed(r), r < ' ':
			escaped = append(escaped, rest[:size]...)
		case r > 0xffff:
			escaped = fmt.Appendf(escaped, `\u%04x\u%04x`, high, low)
		default:
			escaped = fmt.Appendf(escaped, `\u%04x`, r)
		}
		rest = rest[size:]
	}
	return escaped
}

func printed(r rune) bool { return r == ' ' || unicode.IsPrint(r) }

// Commands reports that text holds a command to a terminal which JSON leaves unescaped: DEL, a C1 control or a bidirectional control.
func Commands(text []byte) bool {
	for i := 0; i < len(text); {
		r, size := utf8.DecodeRune(text[i:])
		if r >= 0x7f && (r <= 0x9f || unicode.Is(unicode.Bidi_Control, r)) {
			return true
		}
		i += size
	}
	return false
}
