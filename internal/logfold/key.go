package logfold

import (
	"log/slog"
	"slices"
	"strings"
)

// maxError is how much of an error's words counts.
const maxError = 300

// keyOf names the cause of a line.
func keyOf(message string, own []slog.Attr, r slog.Record) string {
	var b strings.Builder
	b.WriteString(message)
	add := func(a slog.Attr) bool {
		v := a.Value.Resolve()
		text := ""
		switch {
		case isID(a.Key):
			return true
		case v.Kind() == slog.KindString:
			text = v.String()
		case v.Kind() == slog.KindAny:
			if err, ok := v.Any().(error); ok && err != nil {
				text = err.Error()
			}
		case v.Kind() == slog.KindBool:
			text = v.String()
		default: // numbers and times differ from line to line
			return true
		}
		if a.Key == "error" {
			text = words(text)
		}
		b.WriteString("\x00" + a.Key + "=" + text)
		return true
	}
	for _, a := range own {
		add(a)
	}
	r.Attrs(add)
	return b.String()
}

// isID reports that the attribute names one message, not a cause.
func isID(key string) bool {
	return slices.Contains([]string{"correlation_id", "id", "ids", "identity", "uuid", "letter"}, key)
}

// words is an error without what differs between two of a kind: quoted text,
// and words with a digit, such as ids, addresses and times. A number of up to
// three digits stays, since it may be a status.
func words(text string) string {
	line, _, _ := strings.Cut(text, "\n")
	line = line[:min(len(line), maxError)]
	var b strings.Builder
	for len(line) > 0 {
		if line[0] == '"' {
			end := strings.IndexByte(line[1:], '"')
			if end < 0 {
				break
			}
			b.WriteByte('"')
			line = line[end+2:]
			continue
		}
		n := strings.IndexAny(line, " \t\",;()[]{}=<>")
		if n == 0 {
			b.WriteByte(line[0])
			line = line[1:]
			continue
		}
		if n < 0 {
			n = len(line)
		}
		if word := line[:n]; varies(strings.TrimRight(word, ":.")) {
			b.WriteByte('#')
		} else {
			b.WriteString(word)
		}
		line = line[n:]
	}
	return b.String()
}

func varies(word string) bool {
	digits := 0
	for _, r := range word {
		if r >= '0' && r <= '9' {
			digits++
		}
	}
	return digits > 0 && (digits != len(word) || digits > 3)
}
