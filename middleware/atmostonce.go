package middleware

import (
	"github.com/ThreeDotsLabs/watermill/message"
)

// AtMostOnce makes one attempt, and returns success even if it fails, because the
// message is off its queue already.
func AtMostOnce(s Settings) message.HandlerMiddleware {
	return func(next message.HandlerFunc) message.HandlerFunc {
		return func(m *message.Message) ([]*message.Message, error) {
			out, err := next(m)
			if err == nil {
				return out, nil
			}
			verdict := s.judge(err)
			s.Metrics.failed(&s, verdict.Reason)
			setOutcome(m.Context(), Dropped)
			s.Logger.WarnContext(m.Context(), "the message failed and is dropped, because delivery is at-most-once", "reason", string(verdict.Reason), "error", brief(verdict))
			return nil, nil
		}
	}
}
