package middleware

import (
	"errors"
	"sync"
	"sync/atomic"
	"time"

	"github.com/ThreeDotsLabs/watermill/message"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/answerfeed/answerfeed/app/failure"
)

// Metrics holds the collectors that all handlers share.
type Metrics struct {
	messages  *prometheus.CounterVec
	failures  *prometheus.CounterVec
	seconds   *prometheus.HistogramVec
	uncounted *prometheus.CounterVec
	inFlight  *prometheus.GaugeVec
	abandoned *prometheus.GaugeVec
	suspects  *prometheus.GaugeVec
	groups    *prometheus.CounterVec

	quarantined *prometheus.GaugeVec

	mu     sync.Mutex
	flying map[string]*atomic.Int64 // by queue
}

// NewMetrics registers the collectors.
func NewMetrics(r prometheus.Registerer) (*Metrics, error) {
	where := []string{"handler", "topic"}
	m := &Metrics{
		messages: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "answerfeed_messages_total",
			Help: "Deliveries that ended, by outcome: handled, redelivered, dead-letter, returned, dropped.",
		}, append(where, "outcome")),
		failures: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "answerfeed_failed_attempts_total",
			Help: "Attempts that failed, by reason.",
		}, append(where, "reason")),
		uncounted: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "answerfeed_uncounted_attempts_total",
			Help: "Attempts that failed while a dependency did not answer, and are made again without being counted.",
		}, where),
		seconds: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name:    "answerfeed_handle_seconds",
			Help:    "Time from delivery to outcome, quick attempts and their pauses included.",
			Buckets: prometheus.ExponentialBuckets(0.001, 3, 10),
		}, where),
		inFlight: prometheus.NewGaugeVec(prometheus.GaugeOpts{
			Name: "answerfeed_in_flight",
			Help: "Messages that are being handled by this process.",
		}, where),
		abandoned: prometheus.NewGaugeVec(prometheus.GaugeOpts{
			Name: "answerfeed_abandoned_attempts",
			Help: "Attempts that were settled as timed out and still run, ignoring their context.",
		}, where),
		quarantined: prometheus.NewGaugeVec(prometheus.GaugeOpts{
			Name: "answerfeed_handler_quarantined",
			Help: "1 while the handler is in quarantine, because its attempts ignore their context.",
		}, []string{"handler"}),
		suspects: prometheus.NewGaugeVec(prometheus.GaugeOpts{
			Name: "answerfeed_suspects",
			Help: "Redelivered messages that wait for their group to begin.",
		}, where),
		groups: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "answerfeed_suspect_groups_total",
			Help: "Groups of redelivered messages, by kind: company, suspected, alone.",
		}, append(where, "kind")),
		flying: map[string]*atomic.Int64{},
	}
	var errs []error
	for _, c := range []prometheus.Collector{m.messages, m.failures, m.uncounted, m.seconds, m.inFlight, m.abandoned, m.quarantined, m.suspects, m.groups} {
		errs = append(errs, r.Register(c))
	}
	return m, errors.Join(errs...)
}

// Middleware measures one handler's deliveries.
func (m *Metrics) Middleware(s Settings) message.HandlerMiddleware {
	counters := map[Outcome]prometheus.Counter{}
	for _, o := range []Outcome{Handled, Redelivered, DeadLettered, Returned, Dropped} {
		counters[o] = m.messages.WithLabelValues(s.Handler, s.Topic, string(o))
	}
	seconds := m.seconds.WithLabelValues(s.Handler, s.Topic)
	inFlight := m.inFlight.WithLabelValues(s.Handler, s.Topic)
	flying := m.inFlightCounter(s.queue())
	return func(next message.HandlerFunc) message.HandlerFunc {
		return func(msg *message.Message) ([]*message.Message, error) {
			d := delivery{began: time.Now(), outcome: Handled}
			msg.SetContext(withDelivery(msg.Context(), &d))
			inFlight.Inc()
			defer inFlight.Dec()
			flying.Add(1)
			defer flying.Add(-1)
			out, err := next(msg)
			seconds.Observe(time.Since(d.began).Seconds())
			if err != nil {
				d.outcome = Returned
			}
			counters[d.outcome].Inc()
			return out, err
		}
	}
}

func (m *Metrics) inFlightCounter(queue string) *atomic.Int64 {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.flying[queue] == nil {
		m.flying[queue] = &atomic.Int64{}
	}
	return m.flying[queue]
}

// InFlight returns the number of messages in work, by queue.
func (m *Metrics) InFlight() map[string]int {
	m.mu.Lock()
	defer m.mu.Unlock()
	all := make(map[string]int, len(m.flying))
	for queue, n := range m.flying {
		all[queue] = int(n.Load())
	}
	return all
}

func (m *Metrics) failed(s *Settings, reason failure.Reason) {
	m.failures.WithLabelValues(s.Handler, s.Topic, string(reason)).Inc()
}

// The kinds of groups: labels of a metric.
const (
	groupCompany   = "company"   // came back
	groupSuspected = "suspected" // a worker died in their company
	groupAlone     = "alone"
)

func (m *Metrics) group(s *Settings, kind string) {
	m.groups.WithLabelValues(s.Handler, s.Topic, kind).Inc()
}
