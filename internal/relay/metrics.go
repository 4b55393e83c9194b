package relay

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/answerfeed/answerfeed/app/database"
	"github.com/answerfeed/answerfeed/app/outbox"
)

type metrics struct {
	relayed, failed prometheus.Counter
}

func newMetrics(opts Options) (*metrics, error) {
	m := &metrics{
		relayed: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "answerfeed_relayed_total",
			Help: "Events that this process moved from the outbox to the transport.",
		}),
		failed: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "answerfeed_relay_failures_total",
			Help: "Tries at events of the outbox that the transport did not take, while it was there.",
		}),
	}
	if opts.Registry == nil {
		return m, nil
	}
	var errs []error
	for _, c := range []prometheus.Collector{m.relayed, m.failed, newOutboxCollector(opts.DB)} {
		errs = append(errs, opts.Registry.Register(c))
	}
	return m, errors.Join(errs...)
}

// countWithin bounds the count for one scrape, so that a database that hangs
// costs the scrape no other metric.
const countWithin = 2 * time.Second

// outboxCollector counts the outbox at each scrape. While the database is away
// the last count stays, with its age, so that an alert that waits on a count
// does not begin anew.
type outboxCollector struct {
	db                   *database.DB
	waiting, oldest, age *prometheus.Desc

	mu   sync.Mutex
	last outbox.Backlog
	at   time.Time // of last; zero: there is none
}

var _ prometheus.Collector = (*outboxCollector)(nil)

func newOutboxCollector(db *database.DB) *outboxCollector {
	return &outboxCollector{
		db: db,
		waiting: prometheus.NewDesc("answerfeed_outbox_messages",
			"Events in the outbox, by state: fresh, failing.", []string{"state"}, nil),
		oldest: prometheus.NewDesc("answerfeed_outbox_oldest_seconds",
			"Age of the event that has been in the outbox for the longest.", nil, nil),
		age: prometheus.NewDesc("answerfeed_outbox_age_seconds",
			"Time since the database last told what is in the outbox.", nil, nil),
	}
}

// Describe implements prometheus.Collector.
func (c *outboxCollector) Describe(ch chan<- *prometheus.Desc) {
	ch <- c.waiting
	ch <- c.oldest
	ch <- c.age
}

// Collect implements prometheus.Collector.
func (c *outboxCollector) Collect(ch chan<- prometheus.Metric) {
	b, age, err := c.count()
	if err != nil {
		ch <- prometheus.NewInvalidMetric(c.waiting, err)
		return
	}
	ch <- prometheus.MustNewConstMetric(c.age, prometheus.GaugeValue, age.Seconds())
	ch <- prometheus.MustNewConstMetric(c.waiting, prometheus.GaugeValue, float64(b.Waiting-b.Failing), "fresh")
	ch <- prometheus.MustNewConstMetric(c.waiting, prometheus.GaugeValue, float64(b.Failing), "failing")
	ch <- prometheus.MustNewConstMetric(c.oldest, prometheus.GaugeValue, b.Oldest.Seconds())
}

// count counts the outbox, or returns the last count with its age.
func (c *outboxCollector) count() (b outbox.Backlog, age time.Duration, err error) {
	ctx, cancel := context.WithTimeout(context.Background(), countWithin)
	defer cancel()
	b, err = outbox.Count(ctx, c.db)
	c.mu.Lock()
	defer c.mu.Unlock()
	if err == nil {
		c.last, c.at = b, time.Now()
		return b, 0, nil
	}
	if c.at.IsZero() {
		return b, 0, err
	}
	return c.last, time.Since(c.at), nil
}
