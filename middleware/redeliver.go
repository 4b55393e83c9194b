package middleware

import (
	"errors"
	"fmt"

	"github.com/ThreeDotsLabs/watermill/message"

	"github.com/answerfeed/answerfeed/app/failure"
	"github.com/answerfeed/answerfeed/internal/crashpoint"
	"github.com/answerfeed/answerfeed/internal/transport"
)

// Redeliver returns a message to its queue after its quick attempts have failed,
// with the next delay of the schedule or the delay that the failure asks for,
// whichever is longer. The count of redeliveries is in the message's metadata.
func Redeliver(s Settings) message.HandlerMiddleware {
	return func(next message.HandlerFunc) message.HandlerFunc {
		return func(m *message.Message) ([]*message.Message, error) {
			out, err := next(m)
			if err == nil {
				return out, nil
			}
			return nil, s.redeliver(m, err)
		}
	}
}

// redeliver returns nil when the redelivery is stored durably.
func (s *Settings) redeliver(m *message.Message, err error) error {
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
	s.Logger.InfoContext(m.Context(), "the message failed; it is redelivered after a delay",
		"delay", delay.String(), "redelivery", n+1, "reason", string(verdict.Reason), "error", brief(verdict))
	return nil
}

// unsafe logs that a message could neither be redelivered nor dead-lettered. The
// message is not acknowledged, so that the broker delivers it again after a pause.
func (s *Settings) unsafe(m *message.Message, err error) error {
	s.Logger.ErrorContext(m.Context(), "the message could not be stored elsewhere, so it is not acknowledged; it comes back after a pause", "error", err)
	return err
}
