package middleware

import (
	"github.com/ThreeDotsLabs/watermill/message"

	"github.com/answerfeed/answerfeed/app/event"
	"github.com/answerfeed/answerfeed/internal/crashpoint"
	"github.com/answerfeed/answerfeed/internal/transport"
)

// Correlation gives the message a correlation id if it has none, and puts an
// [event.Message] into its context, from which handlers, logs and publishing take
// the id. It replaces Watermill's middleware of that name, which only copies an id
// to the messages that a handler returns, and never makes one.
func Correlation(s Settings) message.HandlerMiddleware {
	return func(next message.HandlerFunc) message.HandlerFunc {
		return func(m *message.Message) ([]*message.Message, error) {
			about := event.NewMessage(s.Topic, s.Handler, m.Metadata.Get(transport.KeyCorrelationID), m.Payload, m.UUID)
			if m.Metadata == nil {
				m.Metadata = message.Metadata{}
			}
			m.Metadata.Set(transport.KeyCorrelationID, about.CorrelationID)
			m.SetContext(event.WithMessage(m.Context(), about))
			crashpoint.At(crashpoint.Received)
			crashpoint.Handling(m)
			return next(m)
		}
	}
}
