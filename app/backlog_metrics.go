package app

import (
	"context"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/answerfeed/answerfeed/internal/deadletter"
	"github.com/answerfeed/answerfeed/internal/transport"
)

// countWithin bounds one count for a scrape. It is shorter than scrapeWithin,
// so that a source that hangs costs the scrape no other metric.
const countWithin = 2 * time.Second

// backlogCollector is the backlog as metrics, counted at each scrape. While a
// source is away its last count stays, with its age: an alert that has waited
// for days on a count must not begin anew because of an outage.
type backlogCollector struct {
	queues   lastCount[[]transport.Backlog]
	letters  lastCount[map[deadletter.Queue]int64]
	messages *prometheus.Desc
	oldest   *prometheus.Desc
	age      *prometheus.Desc
}

var _ prometheus.Collector = (*backlogCollector)(nil)

func newBacklogCollector(queues func(context.Context) ([]transport.Backlog, error), letters func(context.Context) (map[deadletter.Queue]int64, error)) *backlogCollector {
	return &backlogCollector{
		queues:  lastCount[[]transport.Backlog]{ask: queues},
		letters: lastCount[map[deadletter.Queue]int64]{ask: letters},
		messages: prometheus.NewDesc("answerfeed_backlog_messages",
			"Messages of a handler's queue, by state: ready, in_flight, delayed, dead.", []string{"handler", "topic", "state"}, nil),
		oldest: prometheus.NewDesc("answerfeed_backlog_oldest_seconds",
			"Age of the message that is next to be delivered.", []string{"handler", "topic"}, nil),
		age: prometheus.NewDesc("answerfeed_backlog_age_seconds",
			"Time since the source of the backlog's figures last answered.", []string{"source"}, nil),
	}
}

// Describe implements prometheus.Collector.
func (c *backlogCollector) Describe(ch chan<- *prometheus.Desc) {
	ch <- c.messages
	ch <- c.oldest
	ch <- c.age
}

// Collect implements prometheus.Collector.
func (c *backlogCollector) Collect(ch chan<- prometheus.Metric) {
	ctx, cancel := context.WithTimeout(context.Background(), countWithin)
	defer cancel()
	var both sync.WaitGroup
	both.Go(func() { c.queues.count(ctx) })
	both.Go(func() { c.letters.count(ctx) })
	both.Wait()
	queues, queuesAge, err := c.queues.last()
	if err != nil {
		ch <- prometheus.NewInvalidMetric(c.messages, err)
		return
	}
	letters, lettersAge, err := c.letters.last()
	if err != nil {
		ch <- prometheus.NewInvalidMetric(c.messages, err)
		return
	}
	for _, b := range withLetters(queues, letters) {
		for state, n := range map[string]int64{"ready": b.Ready, "in_flight": b.InFlight, "delayed": b.Delayed, "dead": b.Dead} {
			ch <- prometheus.MustNewConstMetric(c.messages, prometheus.GaugeValue, float64(n), b.Handler, b.Topic, state)
		}
		ch <- prometheus.MustNewConstMetric(c.oldest, prometheus.GaugeValue, b.Oldest.Seconds(), b.Handler, b.Topic)
	}
	ch <- prometheus.MustNewConstMetric(c.age, prometheus.GaugeValue, queuesAge.Seconds(), needsTransport)
	ch <- prometheus.MustNewConstMetric(c.age, prometheus.GaugeValue, lettersAge.Seconds(), needsDatabase)
}

// lastCount asks a source, and keeps its last answer.
type lastCount[T any] struct {
	ask func(context.Context) (T, error)

	mu     sync.Mutex
	answer T
	at     time.Time // zero: there was no answer yet
	err    error     // of the last question
}

func (l *lastCount[T]) count(ctx context.Context) {
	answer, err := l.ask(ctx)
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.err = err; err == nil {
		l.answer, l.at = answer, time.Now()
	}
}

// last is the last answer and its age, or why there has been none.
func (l *lastCount[T]) last() (answer T, age time.Duration, err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	switch {
	case l.at.IsZero():
		return answer, 0, l.err
	case l.err == nil:
		return l.answer, 0, nil
	}
	return l.answer, time.Since(l.at), nil
}
