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

	// The message, byte for byte.
	UUID     string
	Metadata map[string]string
	Payload  []byte
}

// State is where a letter stands.
type State string

// Dead letters wait for a person.
const Dead State = "dead"

// complete fills in what follows from the rest.
func (l *Letter) complete() {
	l.ID = hash(32, l.Handler, l.Topic, l.Identity, strconv.Itoa(l.Requeues))
	l.Fingerprint = hash(16, l.Handler, l.Reason, normalise(l.Error))
	l.State = Dead
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
