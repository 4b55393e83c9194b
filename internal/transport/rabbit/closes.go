package rabbit

import (
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	amqp "github.com/rabbitmq/amqp091-go"

	"github.com/answerfeed/answerfeed/internal/transport"
)

// reasonWithin is how long a channel that is closed may take to say why.
const reasonWithin = time.Second

// closes counts the consumers that ended without having been told to, and the
// deliveries that came again for it and were not handled again.
type closes struct {
	ended *prometheus.CounterVec
	again *prometheus.CounterVec
}

func newCloses(registry prometheus.Registerer) (*closes, error) {
	where := []string{"handler", "queue"}
	c := &closes{
		ended: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "answerfeed_consumer_closes_total",
			Help: "Consumers that ended without having been told to, by reason: connection, timeout, cancelled, not-found, refused, internal, other.",
		}, append(where, "reason")),
		again: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "answerfeed_rejoined_deliveries_total",
			Help: "Messages that the broker delivered again while, or after, this process handled them; settled without being handled again.",
		}, where),
	}
	if registry == nil {
		return c, nil
	}
	for _, counter := range []**prometheus.CounterVec{&c.ended, &c.again} {
		err := registry.Register(*counter)
		if known := (prometheus.AlreadyRegisteredError{}); errors.As(err, &known) { // by an earlier transport
			*counter, _ = known.ExistingCollector.(*prometheus.CounterVec)
		} else if err != nil {
			return nil, fmt.Errorf("registering metrics: %w", err)
		}
	}
	return c, nil
}

func (c *closes) rejoined(cfg transport.Consumer) {
	c.again.WithLabelValues(cfg.Handler, cfg.Name()).Inc()
}

// closure is why a session ended.
type closure struct {
	reason string // a label: one of few
	err    error
}

// closure is nil for a session that the consumer itself gives up.
func (s *session) closure() *closure {
	if !s.ch.IsClosed() {
		if !s.cancelled {
			select { // the end of the deliveries may have been seen first
			case _, s.cancelled = <-s.cancels:
			default:
			}
		}
		if !s.cancelled {
			return nil
		}
		return &closure{"cancelled", errors.New("the broker cancelled the consumer: its queue was deleted or has moved, or a message was held for longer than the broker's consumer_timeout")}
	}
	if s.reason == nil {
		timer := time.NewTimer(reasonWithin)
		defer timer.Stop()
		select {
		case s.reason = <-s.broken:
		case <-timer.C:
		}
	}
	switch {
	case s.conn.IsClosed():
		return &closure{"connection", errBroke}
	case s.reason == nil:
		return &closure{"other", errors.New("the broker gave no reason")}
	}
	return &closure{label(s.reason), s.reason}
}

// label is the reason of a closed channel as a metric's label.
func label(e *amqp.Error) string {
	switch e.Code {
	case amqp.PreconditionFailed:
		// 3.10 to 4.2 say "delivery acknowledgement on channel 1 timed out".
		if strings.Contains(e.Reason, "timed out") {
			return "timeout"
		}
	case amqp.NotFound:
		return "not-found"
	case amqp.AccessRefused, amqp.ResourceLocked, amqp.NotAllowed:
		return "refused"
	case amqp.InternalError:
		return "internal"
	}
	return "other"
}

// closed counts and logs the end of a session. The end of a connection, which
// has a line of its own, is told only where work goes on.
func (c *consumer) closed(why *closure, inFlight int) {
	c.t.closes.ended.WithLabelValues(c.cfg.Handler, c.cfg.Name(), why.reason).Inc()
	level := slog.LevelWarn
	if why.reason == "connection" {
		if level = slog.LevelInfo; inFlight == 0 {
			level = slog.LevelDebug
		}
	}
	c.t.cfg.Logger.Log(c.intake, level, "the broker closed a consumer; what is in flight goes on, and is settled when it comes again",
		"queue", c.queue, "handler", c.cfg.Handler, "in_flight", inFlight, "reason", why.reason, "error", why.err)
}
