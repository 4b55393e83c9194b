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
	// Answered reports that each has answered a question that was asked after
	// the call.
	Answered(ctx context.Context) bool
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

// Outage makes no attempt while a dependency is away, and takes none for made
// that failed because of it: a transient failure counts only if all
// dependencies answer after it. What waits longer than 5 min from its delivery,
// or while the worker stops, is given back to its queue.
func Outage(s Settings) message.HandlerMiddleware {
	uncounted := s.Metrics.uncounted.WithLabelValues(s.Handler, s.Topic)
	return func(next message.HandlerFunc) message.HandlerFunc {
		if s.Dependencies == nil {
			return next
		}
		return func(m *message.Message) ([]*message.Message, error) {
			ctx := m.Context()
			until := s.holdUntil(ctx)
			for {
				if away := s.Dependencies.Wait(ctx, time.Until(until)); away != nil {
					return nil, interrupted(away)
				}
				out, err := next(m)
				if err == nil || failure.Classify(err).Kind != failure.KindTransient || s.Dependencies.Answered(ctx) {
					return out, err
				}
				uncounted.Inc()
				if time.Now().After(until) { // else an outage that comes and goes would hold it for as long as it does
					return nil, interrupted(err)
				}
			}
		}
	}
}
