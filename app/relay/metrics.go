package relay

import (
	"context"
	"errors"
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

// scrapeWithin bounds the count of one scrape.
const scrapeWithin = 5 * time.Second

// outboxCollector counts the outbox at each scrape.
type outboxCollector struct {
	db              *database.DB
	waiting, oldest *prometheus.Desc
}

var _ prometheus.Collector = (*outboxCollector)(nil)

func newOutboxCollector(db *database.DB) *outboxCollector {
	return &outboxCollector{
		db: db,
		waiting: prometheus.NewDesc("answerfeed_outbox_messages",
			"Events in the outbox, by state: fresh, failing.", []string{"state"}, nil),
		oldest: prometheus.NewDesc("answerfeed_outbox_oldest_seconds",
			"Age of the event that has been in the outbox for the longest.", nil, nil),
	}
}

// Describe implements prometheus.Collector.
func (c *outboxCollector) Describe(ch chan<- *prometheus.Desc) {
	ch <- c.waiting
	ch <- c.oldest
}

// Collect implements prometheus.Collector.
func (c *outboxCollector) Collect(ch chan<- prometheus.Metric) {
	ctx, cancel := context.WithTimeout(context.Background(), scrapeWithin)
	defer cancel()
	b, err := outbox.Count(ctx, c.db)
	if err != nil {
		ch <- prometheus.NewInvalidMetric(c.waiting, err)
		return
	}
	ch <- prometheus.MustNewConstMetric(c.waiting, prometheus.GaugeValue, float64(b.Waiting-b.Failing), "fresh")
	ch <- prometheus.MustNewConstMetric(c.waiting, prometheus.GaugeValue, float64(b.Failing), "failing")
	ch <- prometheus.MustNewConstMetric(c.oldest, prometheus.GaugeValue, b.Oldest.Seconds())
}
