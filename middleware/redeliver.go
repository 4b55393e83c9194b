package middleware

import (
	"errors"
	"fmt"

	"github.com/ThreeDotsLabs/watermill/message"

	"github.com/answerfeed/answerfeed/app/failure"
	"github.com/answerfeed/answerfeed/internal/crashpoint"
	"github.com/answerfeed/answerfeed/internal/transport"
)

// Redeliver puts a message whose quick attempts failed back to its queue,
// with the next delay of the schedule or the one that the failure asks for,
// whichever is longer. The count of redeliveries travels with the message.
func Redeliver(s Settings) message.HandlerMiddleware {
	return func(next message.HandlerFunc) message.HandlerFunc {
		return func(m *message.Message) ([]*message.Message, error) {
			out, err := next(m)
			if err == nil {
				return out, nil
			}
			return nil, s.putOff(m, err)
		}
	}
}

// putOff returns nil for a message that comes again.
func (s *Settings) putOff(m *message.Message, err error) error {
	var verdict *failure.Verdict
	if !errors.As(err, &verdict) || verdict.Kind != failure.KindTransient {
		return err
	}
	n := transport.Count(m, transport.KeyRedeliveries)
	if n >= len(s.Redeliver) {
		return verdict
	}
	delay := max(s.Redeliver[n], verdict.RetryAfter)
	transport.SetCount(m, transport.KeyRedeliveries, n+1)
	if err := s.Redeliverer.Redeliver(m.Context(), m, delay); err != nil {
		return s.unsafe(m, fmt.Errorf("redelivering: %w", err))
	}
	crashpoint.At(crashpoint.RedeliveryPublished)
	setOutcome(m.Context(), Redelivered)
	s.Logger.InfoContext(m.Context(), "failed for now; comes again",
		"delay", delay.String(), "redelivery", n+1, "reason", string(verdict.Reason), "error", brief(verdict))
	return nil
}

// unsafe logs that a message could not be made safe. It is not acknowledged,
// and comes back after a pause.
func (s *Settings) unsafe(m *message.Message, err error) error {
	s.Logger.ErrorContext(m.Context(), "the message could not be made safe; it comes back after a pause", "error", err)
	return err
}
