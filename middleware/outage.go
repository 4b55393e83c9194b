package middleware

import (
	"context"
	"time"

	"github.com/ThreeDotsLabs/watermill/message"

	"github.com/answerfeed/answerfeed/app/failure"
)

// Dependencies are what a handler cannot work without.
type Dependencies interface {
	// Wait returns nil once all are there, and an error when that took too
	// long, or is not to be waited for any longer.
	Wait(ctx context.Context, within time.Duration) error
	// Begin returns an attempt that may be made now: all are there, or this
	// one may show that they are. It returns an error when that took too long,
	// or is not to be waited for any longer.
	Begin(ctx context.Context, within time.Duration) (Attempt, error)
}

// Attempt is one attempt of a handler, or of whatever needs the same.
type Attempt interface {
	// End tells how it ended, and reports whether that counts: not when err is
	// a dependency's fault. doubtful: it may be, and then counts only if each
	// answers a question that is asked now.
	End(ctx context.Context, err error, doubtful bool) (counts bool)
}

// holdWithin is how long a message is held for a dependency that is away,
// before it goes back to its queue, unless the settings say otherwise.
const holdWithin = 5 * time.Minute

// holdUntil is when a message that merely waits goes back: counted from its
// delivery, so that waiting several times is no longer than waiting once.
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

// Outage makes no attempt while a dependency is away, but for one at a time
// that may show that it is back, and takes none for made that failed because of
// it: a transient failure counts only if all dependencies answer after it. What
// waits longer than 5 min from its delivery, or while the worker stops, is given
// back to its queue.
func Outage(s Settings) message.HandlerMiddleware {
	uncounted := s.Metrics.uncounted.WithLabelValues(s.Handler, s.Topic)
	return func(next message.HandlerFunc) message.HandlerFunc {
		if s.Dependencies == nil {
			return next
		}
		return func(m *message.Message) ([]*message.Message, error) {
			return held(s.Dependencies, s.holdUntil(m.Context()), func(error) { uncounted.Inc() }, next, m)
		}
	}
}

// held makes attempts at m until one counts.
func held(d Dependencies, until time.Time, uncounted func(error), next message.HandlerFunc, m *message.Message) ([]*message.Message, error) {
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
		if time.Now().After(until) { // an outage that comes and goes must not hold it for as long as it does
			return nil, interrupted(err)
		}
	}
}

// Hold is [Outage] for what counts no attempts: the collectors of dead letters.
// failed hears of each message once that an outage holds.
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
			return held(d, time.Now().Add(holdWithin), uncounted, next, m)
		}
	}
}
