package app

import (
	"cmp"
	"context"
	"slices"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/answerfeed/answerfeed/app/deadletter"
	"github.com/answerfeed/answerfeed/app/outbox"
	"github.com/answerfeed/answerfeed/app/transport"
	"github.com/answerfeed/answerfeed/app/web"
)

// Backlog counts, for each handler and topic, what waits in its queue. Dead
// counts the letters on the desk, and those on their way to it. Letters whose
// queue the transport does not list, because their handler is another
// program's or no more, are listed as well.
func (c *Client) Backlog(ctx context.Context) ([]transport.Backlog, error) {
	all, err := c.transport.Backlog(ctx)
	if err != nil {
		return nil, err
	}
	letters, err := c.letters.Counts(ctx)
	if err != nil {
		return nil, err
	}
	for i := range all {
		queue := deadletter.Queue{Handler: all[i].Handler, Topic: all[i].Topic}
		all[i].Dead += letters[queue]
		delete(letters, queue)
	}
	for queue, n := range letters {
		all = append(all, transport.Backlog{Handler: queue.Handler, Topic: queue.Topic, Dead: n})
	}
	slices.SortStableFunc(all, func(a, b transport.Backlog) int {
		return cmp.Or(cmp.Compare(a.Topic, b.Topic), cmp.Compare(a.Handler, b.Handler))
	})
	return all, nil
}

// Queues is Backlog without the letters on the desk, for which it does not
// need the tables.
func (c *Client) Queues(ctx context.Context) ([]transport.Backlog, error) {
	return c.transport.Backlog(ctx)
}

// Outbox counts the events that wait in the outbox for a relay.
func (c *Client) Outbox(ctx context.Context) (outbox.Backlog, error) {
	return outbox.Count(ctx, c.db)
}

// outbox is what waits there as the web shows it.
func (a *App) outbox(ctx context.Context) (web.Outbox, error) {
	b, err := a.client.Outbox(ctx)
	return web.Outbox(b), err
}

// backlogCollector is the backlog as metrics, counted at each scrape.
type backlogCollector struct {
	backlog  func(context.Context) ([]transport.Backlog, error)
	messages *prometheus.Desc
	oldest   *prometheus.Desc
}

var _ prometheus.Collector = (*backlogCollector)(nil)

func newBacklogCollector(backlog func(context.Context) ([]transport.Backlog, error)) *backlogCollector {
	return &backlogCollector{
		backlog: backlog,
		messages: prometheus.NewDesc("answerfeed_backlog_messages",
			"Messages of a handler's queue, by state: ready, in_flight, delayed, dead.", []string{"handler", "topic", "state"}, nil),
		oldest: prometheus.NewDesc("answerfeed_backlog_oldest_seconds",
			"Age of the message that is next to be delivered.", []string{"handler", "topic"}, nil),
	}
}

// Describe implements prometheus.Collector.
func (c *backlogCollector) Describe(ch chan<- *prometheus.Desc) {
	ch <- c.messages
	ch <- c.oldest
}

// Collect implements prometheus.Collector.
func (c *backlogCollector) Collect(ch chan<- prometheus.Metric) {
	ctx, cancel := context.WithTimeout(context.Background(), scrapeWithin)
	defer cancel()
	all, err := c.backlog(ctx)
	if err != nil {
		ch <- prometheus.NewInvalidMetric(c.messages, err)
		return
	}
	for _, b := range all {
		for state, n := range map[string]int64{"ready": b.Ready, "in_flight": b.InFlight, "delayed": b.Delayed, "dead": b.Dead} {
			ch <- prometheus.MustNewConstMetric(c.messages, prometheus.GaugeValue, float64(n), b.Handler, b.Topic, state)
		}
		ch <- prometheus.MustNewConstMetric(c.oldest, prometheus.GaugeValue, b.Oldest.Seconds(), b.Handler, b.Topic)
	}
}
