package cli

import (
	"fmt"
	"strconv"
	"time"

	"github.com/spf13/cobra"

	"github.com/answerfeed/answerfeed/internal/deadletter"
)

// letterJSON is a letter of `deadletters list -o json`.
type letterJSON struct {
	ID            string    `json:"id"`
	Handler       string    `json:"handler"`
	Topic         string    `json:"topic"`
	Reason        string    `json:"reason"`
	Error         string    `json:"error"`
	Attempts      int       `json:"attempts"`
	FirstFailedAt time.Time `json:"first_failed_at"`
	LastFailedAt  time.Time `json:"last_failed_at"`
	CorrelationID string    `json:"correlation_id"`
	Fingerprint   string    `json:"fingerprint"`
	State         string    `json:"state"`
}

func newLetterJSON(l *deadletter.Letter) letterJSON {
	return letterJSON{
		l.ID, l.Handler, l.Topic, l.Reason, l.Error, l.Attempts, l.FirstFailedAt, l.LastFailedAt, l.CorrelationID, l.Fingerprint, string(l.State),
	}
}

func (c *cli) deadlettersList() *cobra.Command {
	var f filterFlags
	var format, cursor string
	var limit int
	cmd := &cobra.Command{
		Use:   "list",
		Short: "List letters, the one that failed last first",
		Long: `List shows letters without their payloads, the one that failed last first. Filters can be combined. When there are
more than --limit, the last line tells the --cursor of the next page; in JSON it is next_cursor, absent on the last page.`,
		Example: `  worker deadletters list
  worker deadletters list --handler feed --since 24h
  worker deadletters list --text q4711 -o json`,
		RunE: func(cmd *cobra.Command, _ []string) error {
			filter, err := f.filter(time.Now())
			if err != nil {
				return err
			}
			if limit < 1 || limit > deadletter.MaxLimit {
				return usageError{fmt.Errorf("--limit %d: it must be 1 to %d", limit, deadletter.MaxLimit)}
			}
			return c.atDesk(cmd, func(desk *deadletter.Desk) error {
				page, err := fill(limit, cursor, func(limit int, cursor string) (deadletter.Page, error) {
					return desk.List(cmd.Context(), filter, limit, cursor)
				})
				if err != nil {
					return err
				}
				if format == "json" {
					return c.listJSON(page)
				}
				return c.listTable(page)
			})
		},
	}
	f.add(cmd)
	f.addState(cmd)
	cmd.Flags().IntVar(&limit, "limit", 50, "at most so many `LETTERS`, up to 1000")
	cmd.Flags().StringVar(&cursor, "cursor", "", "go on behind the page that ended with this `CURSOR`")
	outputFlag(cmd, &format)
	return cmd
}

// fill asks for pages until there are limit letters: a search for text gives
// pages that are shorter.
func fill(limit int, cursor string, list func(limit int, cursor string) (deadletter.Page, error)) (all deadletter.Page, err error) {
	for {
		page, err := list(limit-len(all.Letters), cursor)
		if err != nil {
			return all, err
		}
		all.Letters, all.Next = append(all.Letters, page.Letters...), page.Next
		if cursor = page.Next; cursor == "" || len(all.Letters) == limit {
			return all, nil
		}
	}
}

func (c *cli) listJSON(page deadletter.Page) error {
	letters := []letterJSON{}
	for _, l := range page.Letters {
		letters = append(letters, newLetterJSON(l))
	}
	return c.json(struct {
		Letters    []letterJSON `json:"letters"`
		NextCursor string       `json:"next_cursor,omitempty"`
	}{letters, page.Next})
}

func (c *cli) listTable(page deadletter.Page) error {
	var rows [][]string
	for _, l := range page.Letters {
		rows = append(rows, []string{
			l.ID, l.LastFailedAt.Format(time.DateTime), l.Handler, l.Topic, plain(l.Reason), strconv.Itoa(l.Attempts), brief(l.Error, 80),
		})
	}
	if err := c.table([]string{"ID", "FAILED LAST (UTC)", "HANDLER", "TOPIC", "REASON", "ATTEMPTS", "ERROR"}, rows); err != nil {
		return err
	}
	if page.Next != "" {
		fmt.Fprintf(c.Err, "there are more: --cursor %s\n", page.Next)
	}
	return nil
}

// groupJSON is one group of `deadletters groups -o json`.
type groupJSON struct {
	Fingerprint   string    `json:"fingerprint"`
	Handler       string    `json:"handler"`
	Topic         string    `json:"topic"`
	Reason        string    `json:"reason"`
	Error         string    `json:"error"`
	Letters       int       `json:"letters"`
	FirstFailedAt time.Time `json:"first_failed_at"`
	LastFailedAt  time.Time `json:"last_failed_at"`
}

func (c *cli) deadlettersGroups() *cobra.Command {
	var f deadletter.Filter
	var format string
	var limit int
	cmd := &cobra.Command{
		Use:   "groups",
		Short: "Count dead letters by problem, the largest first",
		Long: `Groups counts dead letters by fingerprint: letters of one handler with the same reason and the same error, but for
numbers, ids and quoted text in it, are the same problem. The error shown is that of its first letter.`,
		Example: `  worker deadletters groups
  worker deadletters groups --handler feed -o json`,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return c.atDesk(cmd, func(desk *deadletter.Desk) error {
				all, err := desk.Groups(cmd.Context(), f, limit)
				if err != nil {
					return err
				}
				groups := []groupJSON{}
				var rows [][]string
				for _, g := range all {
					groups = append(groups, groupJSON{g.Fingerprint, g.Handler, g.Topic, g.Reason, g.Error, g.Letters, g.FirstFailedAt, g.LastFailedAt})
					rows = append(rows, []string{
						g.Fingerprint, strconv.Itoa(g.Letters), g.Handler, g.Topic, plain(g.Reason), g.LastFailedAt.Format(time.DateTime), brief(g.Error, 80),
					})
				}
				if format == "json" {
					return c.json(map[string]any{"groups": groups})
				}
				return c.table([]string{"FINGERPRINT", "LETTERS", "HANDLER", "TOPIC", "REASON", "FAILED LAST (UTC)", "ERROR"}, rows)
			})
		},
	}
	flags := cmd.Flags()
	flags.StringVar(&f.Handler, "handler", "", "groups of this handler: `NAME`")
	flags.StringVar(&f.Topic, "topic", "", "of this topic: `NAME`")
	flags.StringVar(&f.Reason, "reason", "", "with this reason: `WORD`")
	flags.StringVar(&f.Fingerprint, "fingerprint", "", "of this problem: `HEX`")
	flags.IntVar(&limit, "limit", 100, "at most so many `GROUPS`, up to 1000")
	outputFlag(cmd, &format)
	return cmd
}
