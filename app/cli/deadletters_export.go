package cli

import (
	"fmt"
	"strconv"
	"time"

	"github.com/spf13/cobra"

	"github.com/answerfeed/answerfeed/internal/deadletter"
)

func (c *cli) deadlettersExport() *cobra.Command {
	var f filterFlags
	cmd := &cobra.Command{
		Use:   "export [ID...]",
		Short: "Write letters as NDJSON that publish reads back",
		Long: `Export writes letters to standard output, one a line, as publish reads them: with the handler, so that each reaches the
queue of its own handler alone, and the payload as data, or as data_base64 where it is no JSON object on one line. The
letters stay what they are: what was published from an export is for you to discard.

publish checks each line against the contract of its topic, so that what is still invalid stays out; with --raw
it sends every byte as it is.`,
		Example: `  worker deadletters export --fingerprint 08dfcc6ad6d6c39e > letters.ndjson
  worker deadletters export --handler feed | jq -c '.data.grade //= "unspecified"' | worker publish`,
		Args: cobra.ArbitraryArgs,
		RunE: func(cmd *cobra.Command, ids []string) error {
			filter, err := f.filter(time.Now())
			if err != nil {
				return err
			}
			return c.atDesk(cmd, func(desk *deadletter.Desk) error {
				result, err := desk.Export(cmd.Context(), deadletter.Selection{IDs: ids, Filter: filter}, deadletter.Options{
					Refused: func(id string, err error) { fmt.Fprintf(c.Err, "%s: %v\n", plain(id), err) },
				}, c.Out)
				fmt.Fprintf(c.Err, "exported %d letters, %d could not be\n", result.Done, result.Refused)
				if err == nil && result.Refused > 0 {
					return errReported
				}
				return err
			})
		},
	}
	f.add(cmd)
	f.addState(cmd)
	return cmd
}

// actJSON is one line of `deadletters audit -o json`.
type actJSON struct {
	At        time.Time  `json:"at"`
	EndedAt   *time.Time `json:"ended_at"` // null: under way, or cut short
	Who       string     `json:"who"`
	Action    string     `json:"action"`
	Selection string     `json:"selection"`
	Letters   int        `json:"letters"`
}

func (c *cli) deadlettersAudit() *cobra.Command {
	var format string
	var limit int
	cmd := &cobra.Command{
		Use:   "audit",
		Short: "Tell who did what at the desk, the last first",
		Long: `Audit lists what was done to letters: who, what, which were meant, how many it came to, and when. The count is exact also
for an act that was cut short, which has no end.`,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return c.atDesk(cmd, func(desk *deadletter.Desk) error {
				all, err := desk.Audit(cmd.Context(), limit)
				if err != nil {
					return err
				}
				acts := []actJSON{}
				var rows [][]string
				for _, a := range all {
					line := actJSON{a.At, nil, a.Who, a.Action, a.Selection, a.Letters}
					ended := "-"
					if !a.EndedAt.IsZero() {
						line.EndedAt, ended = &a.EndedAt, a.EndedAt.Format(time.DateTime)
					}
					acts = append(acts, line)
					rows = append(rows, []string{a.At.Format(time.DateTime), ended, plain(a.Who), a.Action, strconv.Itoa(a.Letters), brief(a.Selection, 100)})
				}
				if format == "json" {
					return c.json(map[string]any{"acts": acts})
				}
				return c.table([]string{"BEGAN (UTC)", "ENDED", "WHO", "WHAT", "LETTERS", "WHICH"}, rows)
			})
		},
	}
	cmd.Flags().IntVar(&limit, "limit", 50, "at most so many `ACTS`, up to 1000")
	outputFlag(cmd, &format)
	return cmd
}
