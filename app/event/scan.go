package event

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"iter"
	"strconv"
	"strings"
	"unicode/utf16"
	"unicode/utf8"
)

// Why not json.Unmarshal into a struct: it matches keys in any case, turns broken text into U+FFFD, and copies every value that
// nobody asked for. So encoding/json proves that the payload is JSON, and the walk below, which relies on that proof, takes it apart.

// checkObject reports why payload, without a byte order mark, is not one JSON object of legal size in valid UTF-8.
func checkObject(payload []byte) error {
	if len(payload) > MaxPayload {
		return tooLarge("", fmt.Sprintf("larger than %d bytes", MaxPayload))
	}
	if encoding := Encoding(payload); encoding != "" {
		return malformed("the payload is " + encoding + "; send UTF-8")
	}
	if !utf8.Valid(payload) {
		return malformed("not valid UTF-8")
	}
	if !json.Valid(payload) {
		var value json.RawMessage
		if syntax, ok := errors.AsType[*json.SyntaxError](json.Unmarshal(payload, &value)); ok {
			// The text of a SyntaxError quotes the payload; its offset does not. Depth is all that it refuses of valid JSON.
			return malformed(fmt.Sprintf("not JSON, or nested deeper than 10000 levels, at byte %d", syntax.Offset))
		}
		return malformed("not JSON")
	}
	if bytes.TrimLeft(payload, " \n\r\t")[0] != '{' {
		return malformed("not a JSON object")
	}
	return nil
}

// members yields the raw key, quotes included, and the raw value of each member of object, in order. The caller has proved by
// checkObject that object is one; no index here is safe without that.
func members(object string) iter.Seq2[string, string] {
	return func(yield func(key, value string) bool) {
		i := space(object, space(object, 0)+1)
		for object[i] != '}' {
			end := stringEnd(object, i)
			key := object[i:end]
			i = space(object, space(object, end)+1) // past the colon
			end = valueEnd(object, i)
			if !yield(key, object[i:end]) {
				return
			}
			if i = space(object, end); object[i] == ',' {
				i = space(object, i+1)
			}
		}
	}
}

// space returns the index of the first byte at or after i that is not white space.
func space(text string, i int) int {
	for text[i] == ' ' || text[i] == '\n' || text[i] == '\r' || text[i] == '\t' {
		i++
	}
	return i
}

// stringEnd returns the index behind the string whose opening quote is at i.
func stringEnd(text string, i int) int {
	for i++; ; i++ {
		i += strings.IndexByte(text[i:], '"')
		slashes := 0
		for text[i-1-slashes] == '\\' {
			slashes++
		}
		if slashes%2 == 0 {
			return i + 1
		}
	}
}

// valueEnd returns the index behind the value that starts at i. Depth costs no stack.
func valueEnd(text string, i int) int {
	switch text[i] {
	case '"':
		return stringEnd(text, i)
	case '{', '[':
		for depth := 0; ; {
			switch text[i] {
			case '"':
				i = stringEnd(text, i)
				continue
			case '{', '[':
				depth++
			case '}', ']':
				if depth--; depth == 0 {
					return i + 1
				}
			}
			i++
		}
	default: // a number, true, false or null
		return i + strings.IndexAny(text[i:], ",} \n\r\t")
	}
}

// keyIs reports whether a raw key spells name, escapes included.
func keyIs(raw, name string) bool {
	if strings.IndexByte(raw, '\\') < 0 {
		return raw[1:len(raw)-1] == name
	}
	key, ok := unquote(raw)
	return ok && key == name
}

// unquote returns what a JSON string stands for: a part of raw itself, where that has no escape. It is false when an escape is half of a surrogate pair, which stands for nothing.
func unquote(raw string) (string, bool) {
	if strings.IndexByte(raw, '\\') < 0 {
		return raw[1 : len(raw)-1], true
	}
	if !pairsSurrogates(raw) {
		return "", false
	}
	var text string
	err := json.Unmarshal([]byte(raw), &text)
	return text, err == nil
}

// pairsSurrogates reports whether each \u escape of a surrogate stands beside its other half. encoding/json would make a U+FFFD
// of one that does not, so that two different ids could become the same.
func pairsSurrogates(raw string) bool {
	for i := 0; i < len(raw); i++ {
		if raw[i] != '\\' {
			continue
		}
		i++ // the byte behind the backslash is never the start of another escape
		if raw[i] != 'u' || !utf16.IsSurrogate(codeUnit(raw[i+1:])) {
			continue
		}
		high := codeUnit(raw[i+1:])
		i += 4
		if raw[i+1] != '\\' || raw[i+2] != 'u' || utf16.DecodeRune(high, codeUnit(raw[i+3:])) == utf8.RuneError {
			return false
		}
		i += 6
	}
	return true
}

// codeUnit returns the value of the four hexadecimal digits that raw begins with.
func codeUnit(raw string) rune {
	unit, err := strconv.ParseUint(raw[:4], 16, 16)
	if err != nil {
		return utf8.RuneError
	}
	return rune(unit)
}
