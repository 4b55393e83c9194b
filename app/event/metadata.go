package event

import (
	"fmt"
	"strings"
	"unicode/utf8"
)

// CheckMetadata reports, as an *Error, why m may not travel with a message: more than MaxMetadata bytes in all, a key that is empty
// or longer than MaxMetadataKey bytes, or a key or value that is not valid UTF-8 or holds a NUL. No metadata at all is legal.
func CheckMetadata(m map[string]string) error {
	size := 0
	var badKey, badText bool
	for key, value := range m {
		size += len(key) + len(value)
		badKey = badKey || key == "" || len(key) > MaxMetadataKey
		badText = badText || !storable(key) || !storable(value)
	}
	// Judged after the loop: the order of a map changes, the error for one message must not.
	switch {
	case size > MaxMetadata:
		return tooLarge(fieldMetadata, fmt.Sprintf("larger than %d bytes", MaxMetadata))
	case badKey:
		return invalid(fieldMetadata, fmt.Sprintf("a key is empty or longer than %d bytes", MaxMetadataKey))
	case badText:
		return invalid(fieldMetadata, "a key or value is not valid UTF-8 or holds a NUL character")
	}
	return nil
}

const fieldMetadata = "metadata"

// storable reports whether every transport and database can keep s.
func storable(s string) bool { return utf8.ValidString(s) && strings.IndexByte(s, 0) < 0 }

// ValidName reports whether s may name a topic or a handler: [a-z0-9-]{1,60}.
func ValidName(s string) bool {
	if len(s) < 1 || len(s) > 60 {
		return false
	}
	for _, c := range []byte(s) {
		if (c < 'a' || c > 'z') && (c < '0' || c > '9') && c != '-' {
			return false
		}
	}
	return true
}
