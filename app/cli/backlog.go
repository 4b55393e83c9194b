package cli

import (
	"math"
	"strconv"
	"time"

	"github.com/spf13/cobra"
)

// queueJSON is one line of `backlog -o json`.
type queueJSON struct {
	Handler       string  `json:"handler"`
	Topic         string  `json:"topic"`
	Ready         int64   `json:"ready"`
	InFlight      int64   `json:"in_flight"`
	Delayed       int64   `json:"delayed"`
	Dead          int64   `json:"dead"`
	OldestSeconds float64 `json:"oldest_seconds"`
}

// outboxJSON is the outbox in `backlog -o json`.
type outboxJSON struct {
	Waiting       int64   `json:"waiting"`
	Failing       int64   `json:"failing"`
	OldestSeconds float64 `json:"oldest_seconds"`
}

func (c *cli) backlog() *cobra.Command {
	var format string
	cmd := &cobra.Command{
		Use:   "backlog",
		Short: "Count what waits for each handler",
		Long: `Backlog counts, for each handler and topic: ready messages, those in flight with any worker, those delayed until their
next try, and dead letters; and tells the age of the message that is next to be delivered. The last line is the outbox: events
that wait for a relay, and, as delayed, those that the transport did not take yet.`,
		RunE: func(cmd *cobra.Command, _ []string) error {
			client, err := c.open(cmd.Context(), nil)
			if err != nil {
				return err
			}
			defer client.Close() //nolint:errcheck // it only looked
			all, err := client.Backlog(cmd.Context())
			if err != nil {
				return err
			}
			waiting, err := client.Outbox(cmd.Context())
			if err != nil {
				return err
			}
			queues := []queueJSON{}
			var rows [][]string
			for _, b := range all {
				queues = append(queues, queueJSON{b.Handler, b.Topic, b.Ready, b.InFlight, b.Delayed, b.Dead, seconds(b.Oldest)})
				row := []string{b.Handler, b.Topic}
				for _, n := range []int64{b.Ready, b.InFlight, b.Delayed, b.Dead} {
					row = append(row, strconv.FormatInt(n, 10))
				}
				rows = append(rows, append(row, b.Oldest.Round(time.Millisecond).String()))
			}
			if format == "json" {
				return c.json(struct {
					Queues []queueJSON `json:"queues"`
					Outbox outboxJSON  `json:"outbox"`
				}{queues, outboxJSON{waiting.Waiting, waiting.Failing, seconds(waiting.Oldest)}})
			}
			rows = append(rows, []string{"(outbox)", "-", strconv.FormatInt(waiting.Waiting-waiting.Failing, 10), "-",
				strconv.FormatInt(waiting.Failing, 10), "-", waiting.Oldest.Round(time.Millisecond).String()})
			return c.table([]string{"HANDLER", "TOPIC", "READY", "IN FLIGHT", "DELAYED", "DEAD", "OLDEST"}, rows)
		},
	}
	outputFlag(cmd, &format)
	return cmd
}

// seconds is a duration to the millisecond.
func seconds(d time.Duration) float64 { return math.Round(d.Seconds()*1000) / 1000 }
