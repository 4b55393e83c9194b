package deadletter

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"regexp"
	"strconv"
	"strings"
	"time"
)

// Letter is one message that failed for good, with all that is known of it.
type Letter struct {
	// ID is 32 hexadecimal digits, of handler, topic, identity and requeues.
	ID             string
	Handler, Topic string
	// Identity is what makes it the same message when it comes again.
	Identity string
	// Requeues counts how often a person had sent it back before.
	Requeues int
	State    State
	Reason   string
	Error    string
	// Fingerprint is 16 hexadecimal digits, the same for letters of the same
	// problem: handler, reason, and error but for numbers and names in it.
	Fingerprint   string
	CorrelationID string
	// Attempts in all; Redeliveries among them were delayed.
	Attempts, Redeliveries int
	// FirstFailedAt and LastFailedAt are UTC.
	FirstFailedAt, LastFailedAt time.Time
	// Size is the payload's, in bytes.
	Size int

	// What follows is not in a [Page].

	// RequeuedAt and DiscardedAt tell since when it is in that state, in UTC;
	// zero in any other.
	RequeuedAt, DiscardedAt time.Time
	// The message. The payload is kept byte for byte, and so is what of the
	// rest a database can keep: valid UTF-8 without NUL.
	UUID     string
	Metadata map[string]string
	Payload  []byte
	// Repaired is sent in place of Payload; nil = it was not repaired.
	Repaired []byte
}

// State is where a letter stands.
type State string

const (
	// Dead letters wait for a person.
	Dead State = "dead"
	// Requeued letters were sent back to their handler's queue. One that fails
	// again is another letter.
	Requeued State = "requeued"
	// Discarded letters can be restored for as long as they are [Kept].
	Discarded State = "discarded"
)

// Kept is how long a letter is kept after it was requeued or discarded.
const Kept = 30 * 24 * time.Hour

// complete fills in what follows from the rest, and makes texts of what is to
// be text: PostgreSQL takes nothing else, and a letter must never be stuck for
// that.
func (l *Letter) complete() {
	for _, s := range []*string{&l.Handler, &l.Topic, &l.Identity, &l.Reason, &l.Error, &l.CorrelationID, &l.UUID} {
		*s = text(*s)
	}
	l.ID = letterID(l.Handler, l.Topic, l.Identity, l.Requeues)
	l.Fingerprint = hash(16, l.Handler, l.Reason, normalise(l.Error))
	l.State = Dead
	l.Size = len(l.Payload)
}

func letterID(handler, topic, identity string, requeues int) string {
	return hash(32, handler, topic, identity, strconv.Itoa(requeues))
}

// text puts a replacement character in place of what is no text.
func text(s string) string {
	return strings.ReplaceAll(strings.ToValidUTF8(s, "\uFFFD"), "\x00", "\uFFFD")
}

// hash is n hexadecimal digits of the SHA-256 of the parts, each with its
// length before it, so that no two lists of parts read the same.
func hash(n int, parts ...string) string {
	h := sha256.New()
	for _, p := range parts {
		fmt.Fprintf(h, "%d:%s", len(p), p)
	}
	return hex.EncodeToString(h.Sum(nil))[:n]
}

var (
	// An apostrophe within a word opens no quotation.
	quoted = regexp.MustCompile(`"(?:\\.|[^"\\])*"|\B'[^']*'|` + "`[^`]*`")
	// Decimals and addresses; hexadecimal ids; digits anywhere, as in q17, 250ms or a time.
	number = regexp.MustCompile(`[0-9]+(?:\.[0-9]+)+|\b(?:0x)?[0-9a-fA-F-]*[0-9][0-9a-fA-F-]*\b|[0-9]+`)
)

// normalise takes from an error's first line what differs between letters of
// the same problem: quoted text, numbers, hexadecimal ids.
func normalise(text string) string {
	line, _, _ := strings.Cut(text, "\n")
	return number.ReplaceAllString(quoted.ReplaceAllString(line, "«»"), "#")
}

// metadata is a JSON object, in which NUL is an escape and any text can be.
func (l *Letter) metadata() (string, error) {
	if len(l.Metadata) == 0 {
		return "{}", nil
	}
	b, err := json.Marshal(l.Metadata)
	if err != nil {
		return "", fmt.Errorf("encoding the metadata of letter %s: %w", l.ID, err)
	}
	return string(b), nil
}
