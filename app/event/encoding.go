package event

import "bytes"

// WithoutMark returns text behind its UTF-8 byte order mark, if it has one. Editors and libraries put it there, and no JSON parser takes it.
func WithoutMark(text []byte) []byte { return bytes.TrimPrefix(text, []byte("\ufeff")) }

// Encoding returns UTF-16 or UTF-32 if text is in that, by its byte order mark or the zeros of its first character, and else "". No JSON in
// UTF-8 begins like that.
func Encoding(text []byte) string {
	if len(text) < 2 {
		return ""
	}
	ascii := func(c byte) bool { return c == '\t' || c == '\n' || c == '\r' || c >= ' ' && c < 0x7f }
	if len(text) >= 4 {
		switch first := [4]byte(text); {
		case first == [4]byte{0xff, 0xfe, 0, 0}, first == [4]byte{0, 0, 0xfe, 0xff},
			ascii(first[0]) && first[1] == 0 && first[2] == 0 && first[3] == 0,
			ascii(first[3]) && first[0] == 0 && first[1] == 0 && first[2] == 0:
			return "UTF-32"
		}
	}
	switch {
	case text[0] == 0xff && text[1] == 0xfe, text[0] == 0xfe && text[1] == 0xff,
		text[1] == 0 && ascii(text[0]), text[0] == 0 && ascii(text[1]):
		return "UTF-16"
	}
	return ""
}
