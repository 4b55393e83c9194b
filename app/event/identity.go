package event

import (
	"crypto/sha256"
	"encoding/hex"
	"strings"
	"unicode/utf8"
)

// keyEventID is the member by which a producer names an event, whatever its topic.
const keyEventID = "event_id"

// Identity returns what makes a message the same message when it comes again: the payload's event_id, else uuid, which is the
// message UUID that its producer set, else the SHA-256 of the payload in hexadecimal.
//
// It never fails, and what it returns obeys the rule of ids (1 to 128 bytes of valid UTF-8 without NUL), so that it may be a key in
// any database: an event_id or uuid that breaks the rule counts as not set, and so does the event_id of a malformed payload.
//
// A byte order mark is no part of the payload.
func Identity(payload []byte, uuid string) string {
	payload = WithoutMark(payload)
	if id := eventID(payload); id != "" {
		return id
	}
	if utf8.ValidString(uuid) && identifier.problem(uuid) == "" {
		return uuid
	}
	sum := sha256.Sum256(payload)
	return hex.EncodeToString(sum[:])
}

// eventID returns the payload's valid event_id, or "".
func eventID(payload []byte) string {
	if checkObject(payload) != nil {
		return ""
	}
	var raw string
	for key, value := range members(string(payload)) {
		if keyIs(key, keyEventID) {
			raw = value
		}
	}
	if raw == "" || raw[0] != '"' {
		return ""
	}
	id, ok := unquote(raw)
	if !ok || identifier.problem(id) != "" {
		return ""
	}
	return strings.Clone(id) // without the payload around it
}
