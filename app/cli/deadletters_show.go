package cli

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/spf13/cobra"

	"github.com/answerfeed/answerfeed/internal/deadletter"
	"github.com/answerfeed/answerfeed/internal/printable"
)

// wholeJSON is the letter of `deadletters show -o json`.
type wholeJSON struct {
	letterJSON
	Identity     string            `json:"identity"`
	Requeues     int               `json:"requeues"`
	Redeliveries int               `json:"redeliveries"`
	RequeuedAt   *time.Time        `json:"requeued_at,omitempty"`
	DiscardedAt  *time.Time        `json:"discarded_at,omitempty"`
	UUID         string            `json:"uuid"`
	Metadata     map[string]string `json:"metadata"`
	Payload      *bytesJSON        `json:"payload"`
	Repaired     *bytesJSON        `json:"repaired,omitempty"`
	// History are the letters of the same message, this one included.
	History []letterJSON `json:"history"`
}

// bytesJSON is text where the bytes are that, else base64.
type bytesJSON struct {
	Text   *string `json:"text,omitempty"`
	Base64 []byte  `json:"base64,omitempty"`
}

func newBytesJSON(b []byte) *bytesJSON {
	if !utf8.Valid(b) {
		return &bytesJSON{Base64: b}
	}
	text := string(b)
	return &bytesJSON{Text: &text}
}

func (c *cli) deadlettersShow() *cobra.Command {
	var format string
	cmd := &cobra.Command{
		Use:   "show ID",
		Short: "Show one letter with everything that is known of it",
		Long: `Show tells everything about one letter: error, payload, metadata, and the other letters of the same message, which it
left when it was requeued and failed again. Payloads may hold personal data.`,
		Example: `  worker deadletters show 9d570769ea148e8bd870e3a2f8ea7e6a
  worker deadletters show 9d570769ea148e8bd870e3a2f8ea7e6a -o json | jq -r .payload.text > payload.json`,
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			return c.atDesk(cmd, func(desk *deadletter.Desk) error {
				l, err := desk.Show(cmd.Context(), args[0])
				if err != nil {
					return err
				}
				history, err := desk.History(cmd.Context(), l)
				if err != nil {
					return err
				}
				if format == "json" {
					return c.json(newWholeJSON(l, history))
				}
				return c.letter(l, history)
			})
		},
	}
	outputFlag(cmd, &format)
	return cmd
}

func newWholeJSON(l *deadletter.Letter, history []*deadletter.Letter) wholeJSON {
	w := wholeJSON{
		letterJSON: newLetterJSON(l), Identity: l.Identity, Requeues: l.Requeues, Redeliveries: l.Redeliveries,
		UUID: l.UUID, Metadata: l.Metadata, Payload: newBytesJSON(l.Payload), History: []letterJSON{},
	}
	if !l.RequeuedAt.IsZero() {
		w.RequeuedAt = &l.RequeuedAt
	}
	if !l.DiscardedAt.IsZero() {
		w.DiscardedAt = &l.DiscardedAt
	}
	if l.Repaired != nil {
		w.Repaired = newBytesJSON(l.Repaired)
	}
	for _, h := range history {
		w.History = append(w.History, newLetterJSON(h))
	}
	return w
}

// letter writes a letter for people.
func (c *cli) letter(l *deadletter.Letter, history []*deadletter.Letter) error {
	moment := func(t time.Time) string {
		if t.IsZero() {
			return ""
		}
		return t.Format(time.RFC3339Nano)
	}
	for _, field := range []struct{ name, value string }{
		{"id", l.ID}, {"state", string(l.State)}, {"requeued at", moment(l.RequeuedAt)}, {"discarded at", moment(l.DiscardedAt)},
		{"handler", l.Handler}, {"topic", l.Topic}, {"reason", plain(l.Reason)}, {"fingerprint", l.Fingerprint},
		{"attempts", fmt.Sprintf("%d, with %d redeliveries", l.Attempts, l.Redeliveries)}, {"requeued before", fmt.Sprint(l.Requeues)},
		{"first failed at", moment(l.FirstFailedAt)}, {"last failed at", moment(l.LastFailedAt)},
		{"correlation id", plain(l.CorrelationID)}, {"identity", plain(l.Identity)}, {"message uuid", plain(l.UUID)},
	} {
		if field.value != "" {
			fmt.Fprintf(c.Out, "%-16s %s\n", field.name, field.value)
		}
	}
	fmt.Fprintf(c.Out, "\nerror\n%s\n", indented(l.Error))
	if len(l.Metadata) > 0 {
		fmt.Fprint(c.Out, "\nmetadata\n") //nolint:errcheck // the last line tells
		for _, key := range slices.Sorted(maps.Keys(l.Metadata)) {
			fmt.Fprintf(c.Out, "    %s: %s\n", plain(key), plain(l.Metadata[key]))
		}
	}
	if len(history) > 1 {
		fmt.Fprint(c.Out, "\nletters of the same message\n") //nolint:errcheck // the last line tells
		for _, h := range history {
			fmt.Fprintf(c.Out, "    %s  %s  %-9s  %s\n", h.ID, h.LastFailedAt.Format(time.DateTime), h.State, brief(h.Error, 60))
		}
	}
	if l.Repaired != nil {
		fmt.Fprintf(c.Out, "\nrepaired payload, %d bytes\n%s\n", len(l.Repaired), body(l.Repaired))
	}
	_, err := fmt.Fprintf(c.Out, "\npayload, %d bytes\n%s\n", len(l.Payload), body(l.Payload))
	return err
}

// body is a payload for people: JSON indented, other text as it is, and else
// in hexadecimal.
func body(payload []byte) string {
	if json.Valid(payload) {
		var b strings.Builder
		e := json.NewEncoder(&b)
		e.SetIndent("", "  ")
		e.SetEscapeHTML(false)
		if e.Encode(json.RawMessage(payload)) == nil {
			return indented(strings.TrimRight(b.String(), "\n"))
		}
	}
	if utf8.Valid(payload) {
		return indented(string(payload))
	}
	return indented(fmt.Sprintf("% x", payload))
}

// indented keeps lines, and makes each of them plain.
func indented(text string) string {
	var lines []string
	for line := range strings.SplitSeq(strings.TrimRight(text, "\n"), "\n") {
		lines = append(lines, "    "+plain(line))
	}
	return strings.Join(lines, "\n")
}

// plain is text that does nothing to a terminal: what others wrote may hold
// its commands, or turn the direction of writing.
func plain(s string) string { return printable.Text(s) }

// brief is the first line of a text, n characters of it.
func brief(text string, n int) string {
	line, _, more := strings.Cut(text, "\n")
	runes := []rune(plain(line))
	if len(runes) > n {
		runes, more = runes[:n-1], true
	}
	if more {
		return string(runes) + "…"
	}
	return string(runes)
}
