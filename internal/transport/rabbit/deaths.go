package rabbit

import (
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/answerfeed/answerfeed/internal/transport"
)

// tellEvery is how often one cause in one queue is told.
const tellEvery = time.Second

// deaths tells what a broker gave up: in the log, one line a queue, cause and
// second, and in a metric.
type deaths struct {
	logger *slog.Logger
	count  *prometheus.CounterVec

	mu   sync.Mutex
	told map[[2]string]*telling // by queue and reason
}

type telling struct {
	at   time.Time
	more int // since then, without a line
}

func newDeaths(logger *slog.Logger, registry prometheus.Registerer) (*deaths, error) {
	d := &deaths{logger: logger, told: map[[2]string]*telling{}, count: prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "answerfeed_broker_deaths_total",
		Help: "Messages that the broker gave up and the worker kept, by queue and the broker's reason.",
	}, []string{"queue", "reason"})}
	if registry == nil {
		return d, nil
	}
	err := registry.Register(d.count)
	if known := (prometheus.AlreadyRegisteredError{}); errors.As(err, &known) {
		if count, ok := known.ExistingCollector.(*prometheus.CounterVec); ok {
			d.count, err = count, nil
		}
	}
	if err != nil {
		return nil, fmt.Errorf("registering metrics: %w", err)
	}
	return d, nil
}

// letter tells that a message which the broker gave up is a dead letter.
func (d *deaths) letter(s transport.Subscription, queue string, why death, attempts int, correlationID string) {
	d.count.WithLabelValues(queue, why.reason).Inc()
	if more, now := d.now(queue, why.reason); now {
		d.logger.Warn("dead letter", "reason", why.reason, "attempts", attempts, "error", why.text(),
			"handler", s.Handler, "topic", s.Topic, "correlation_id", correlationID, "queue", queue, "more", more)
	}
}

// returned tells that a message which exceeded the broker's limit of
// deliveries was put back.
func (d *deaths) returned(s transport.Subscription, queue string) {
	d.count.WithLabelValues(queue, overLimit).Inc()
	if more, now := d.now(queue, overLimit); now {
		d.logger.Warn("a message exceeded the broker's delivery limit and was put back; if a policy sets delivery-limit, take that from the policy",
			"reason", overLimit, "queue", queue, "handler", s.Handler, "topic", s.Topic, "more", more)
	}
}

// now reports that this is to be told, and how many were not told before it.
func (d *deaths) now(queue, reason string) (more int, now bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	t := d.told[[2]string{queue, reason}]
	if t == nil {
		t = &telling{}
		d.told[[2]string{queue, reason}] = t
	}
	if time.Since(t.at) < tellEvery {
		t.more++
		return 0, false
	}
	more, t.at, t.more = t.more, time.Now(), 0
	return more, true
}
