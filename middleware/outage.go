package middleware

import (
	"context"
	"time"

	"github.com/ThreeDotsLabs/watermill/message"

	"github.com/answerfeed/answerfeed/app/failure"
)

// Dependencies are the services that a handler cannot work without.
type Dependencies interface {
	// Wait returns nil when all dependencies are available, and an error after
	// within, when ctx ends, or when the worker stops.
	Wait(ctx context.Context, within time.Duration) error
	// Begin waits until an attempt may be made: all dependencies are available,
	// or this attempt is the one that probes whether they are. It returns an
	// error after within, when ctx ends, or when the worker stops.
	Begin(ctx context.Context, within time.Duration) (Attempt, error)
}

// Attempt is one attempt of a handler, or of other work with the same
// dependencies.
type Attempt interface {
	// End ends the attempt and reports whether its failure counts. A failure
	// that a dependency caused does not count. If doubtful, err may be the
	// fault of a dependency: it then counts only if each dependency answers a
	// probe made after the failure.
	End(ctx context.Context, err error, doubtful bool) (counts bool)
}

// holdWithin is the default of Settings.Hold: how long a message is held for an
// unavailable dependency before it goes back to its queue.
const holdWithin = 5 * time.Minute

// holdUntil is the time at which a waiting message goes back to its queue. It
// counts from the delivery, so that several waits together are no longer than one.
func (s *Settings) holdUntil(ctx context.Context) time.Time {
	hold := s.Hold
	if hold <= 0 {
		hold = holdWithin
	}
	if d := deliveryOf(ctx); d != nil {
		return d.began.Add(hold)
	}
	return time.Now().Add(hold)
}

// Outage makes no attempts while a dependency is unavailable, except one at a time
// that probes whether the dependency is back. Attempts that failed because of the
// outage are not counted: a transient failure counts only if all dependencies
// answer after it. A message that has waited for 5 min since its delivery, or
// waits when the worker stops, goes back to its queue.
func Outage(s Settings) message.HandlerMiddleware {
	uncounted := s.Metrics.uncounted.WithLabelValues(s.Handler, s.Topic)
	return func(next message.HandlerFunc) message.HandlerFunc {
		if s.Dependencies == nil {
			return next
		}
		return func(m *message.Message) ([]*message.Message, error) {
			return untilCounted(s.Dependencies, s.holdUntil(m.Context()), func(error) { uncounted.Inc() }, next, m)
		}
	}
}

// untilCounted makes attempts until one of them counts.
func untilCounted(d Dependencies, until time.Time, uncounted func(error), next message.HandlerFunc, m *message.Message) ([]*message.Message, error) {
	ctx := m.Context()
	for {
		attempt, away := d.Begin(ctx, time.Until(until))
		if away != nil {
			return nil, interrupted(away)
		}
		out, err := next(m)
		kind := failure.KindUnknown
		if err != nil {
			kind = failure.Classify(err).Kind
		}
		if attempt.End(ctx, err, kind == failure.KindTransient) || err == nil || kind == failure.KindPermanent {
			return out, err
		}
		uncounted(err)
		if time.Now().After(until) { // an outage that comes and goes must not hold the message without end
			return nil, interrupted(err)
		}
	}
}

// Hold is [Outage] for work that counts no attempts: the collectors of dead
// letters. failed is called once for each message that an outage holds.
func Hold(d Dependencies, failed func(m *message.Message, err error)) message.HandlerMiddleware {
	return func(next message.HandlerFunc) message.HandlerFunc {
		return func(m *message.Message) ([]*message.Message, error) {
			var first error
			uncounted := func(err error) {
				if first == nil {
					first = err
					failed(m, err)
				}
			}
			return untilCounted(d, time.Now().Add(holdWithin), uncounted, next, m)
		}
	}
}
