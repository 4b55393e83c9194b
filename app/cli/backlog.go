package cli

import (
	"context"
	"errors"
	"fmt"
	"math"
	"strconv"
	"time"

	"github.com/spf13/cobra"

	"github.com/answerfeed/answerfeed/app"
	"github.com/answerfeed/answerfeed/app/database"
	"github.com/answerfeed/answerfeed/app/outbox"
	"github.com/answerfeed/answerfeed/internal/transport"
)

// queueJSON is one line of `backlog -o json`.
type queueJSON struct {
	Handler       string  `json:"handler"`
	Topic         string  `json:"topic"`
	Ready         int64   `json:"ready"`
	InFlight      int64   `json:"in_flight"`
	Delayed       int64   `json:"delayed"`
	Dead          *int64  `json:"dead,omitempty"` // absent: the database is away
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
that wait for a relay, and, as delayed, those that the transport did not take yet.

It lists every queue of the SQL transport, also those of handlers that this program does not have. A broker does not list its
queues over AMQP: there such handlers are listed by their dead letters alone. While the database is away, dead letters and
outbox are left out.`,
		RunE: func(cmd *cobra.Command, _ []string) error {
			client, err := c.openQueues(cmd.Context())
			if err != nil {
				return err
			}
			defer client.Close() //nolint:errcheck // it only looked
			counted, err := c.count(cmd.Context(), client)
			if err != nil {
				return err
			}
			if format == "json" {
				return c.json(counted.json())
			}
			return c.table([]string{"HANDLER", "TOPIC", "READY", "IN FLIGHT", "DELAYED", "DEAD", "OLDEST"}, counted.rows())
		},
	}
	outputFlag(cmd, &format)
	return cmd
}

// counted is what waits. Without the database, outbox is nil and the queues'
// dead letters are not known.
type counted struct {
	queues []transport.Backlog
	outbox *outbox.Backlog
}

// count counts what waits, and tells when the database could not be asked.
func (c *cli) count(ctx context.Context, client *app.Client) (counted, error) {
	away := client.OpenTables(ctx)
	if away == nil {
		asking, cancel := context.WithTimeout(ctx, answersWithin)
		defer cancel()
		waiting, err := client.Outbox(asking)
		if err == nil {
			all, err := client.Backlog(ctx)
			return counted{all, &waiting}, err
		}
		away = err
	}
	if errors.Is(away, database.ErrSchema) {
		return counted{}, away
	}
	all, err := client.Queues(ctx)
	if err != nil {
		return counted{}, err
	}
	fmt.Fprintf(c.Err, "without dead letters and outbox, since the database could not be asked: %v\n", away)
	return counted{queues: all}, nil
}

type backlogJSON struct {
	Queues []queueJSON `json:"queues"`
	Outbox *outboxJSON `json:"outbox,omitempty"` // absent: the database is away
}

func (w counted) json() backlogJSON {
	all := backlogJSON{Queues: []queueJSON{}}
	for _, b := range w.queues {
		q := queueJSON{b.Handler, b.Topic, b.Ready, b.InFlight, b.Delayed, nil, seconds(b.Oldest)}
		if w.outbox != nil {
			q.Dead = &b.Dead
		}
		all.Queues = append(all.Queues, q)
	}
	if w.outbox != nil {
		all.Outbox = &outboxJSON{w.outbox.Waiting, w.outbox.Failing, seconds(w.outbox.Oldest)}
	}
	return all
}

func (w counted) rows() (rows [][]string) {
	number := func(n int64) string { return strconv.FormatInt(n, 10) }
	for _, b := range w.queues {
		dead := "?"
		if w.outbox != nil {
			dead = number(b.Dead)
		}
		rows = append(rows, []string{b.Handler, b.Topic, number(b.Ready), number(b.InFlight), number(b.Delayed), dead, b.Oldest.Round(time.Millisecond).String()})
	}
	if o := w.outbox; o != nil {
		rows = append(rows, []string{"(outbox)", "-", number(o.Waiting - o.Failing), "-", number(o.Failing), "-", o.Oldest.Round(time.Millisecond).String()})
	}
	return rows
}

// seconds is a duration to the millisecond.
func seconds(d time.Duration) float64 { return math.Round(d.Seconds()*1000) / 1000 }
