package event

import (
	"strings"
	"time"
	"unicode/utf8"
)

// field is one member of an event's object, and the place in the event that holds it.
type field struct {
	name     string
	kind     kind
	required bool
	text     *string    // nil for a moment
	time     *time.Time // nil for everything else
	raw      string     // while decoding: the member's JSON value, "" when absent
}

// kind is the rule that a member's value obeys.
type kind int

const (
	identifier kind = iota // 1 to 128 bytes, compared bytewise
	title                  // to 300 characters
	excerpt                // to 1,000 characters
	label                  // 1 to 64 characters
	prose                  // no limit but the payload's
	moment                 // RFC 3339 with zone
)

const (
	maxIdentifier = 128
	maxTitle      = 300
	maxExcerpt    = 1000
	maxLabel      = 64
)

// problem says what is wrong with a text of kind k, or "". The text must be valid UTF-8.
func (k kind) problem(s string) string {
	if strings.IndexByte(s, 0) >= 0 {
		return "holds a NUL character"
	}
	switch k {
	case identifier:
		if s == "" {
			return "empty"
		}
		if len(s) > maxIdentifier {
			return "longer than 128 bytes"
		}
	case title:
		if longer(s, maxTitle) {
			return "longer than 300 characters"
		}
	case excerpt:
		if longer(s, maxExcerpt) {
			return "longer than 1000 characters"
		}
	case label:
		if s == "" {
			return "empty"
		}
		if longer(s, maxLabel) {
			return "longer than 64 characters"
		}
	}
	return ""
}

// longer reports whether s has more than limit characters; most texts need no counting.
func longer(s string, limit int) bool {
	return len(s) > limit && utf8.RuneCountInString(s) > limit
}
