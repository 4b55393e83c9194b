package deadletter

import (
	"log/slog"
	"time"

	"github.com/ThreeDotsLabs/watermill/message"
	wmiddleware "github.com/ThreeDotsLabs/watermill/message/router/middleware"

	"github.com/answerfeed/answerfeed/app/event"
	"github.com/answerfeed/answerfeed/internal/crashpoint"
	"github.com/answerfeed/answerfeed/internal/transport"
)

// CollectWindow is how many letters of one dead queue are stored at once.
const CollectWindow = saveBatch

// Collect stores what rests in one handler's dead queue: the router's handler
// for it. An error leaves the message there, to be tried again; it is logged,
// but for the database's own trouble: see [NotStored].
func (s *Store) Collect(handler, topic string, logger *slog.Logger) message.NoPublishHandlerFunc {
	return func(m *message.Message) error {
		l := fromMessage(m, handler, topic)
		err := s.Save(m.Context(), l)
		if err == nil {
			crashpoint.At(crashpoint.LetterStored)
		}
		if err != nil && s.db.TroubleOf(err) == nil {
			NotStored(m, handler, topic, logger, err)
		}
		return err
	}
}

// NotStored logs that a message of a dead queue could not be stored.
func NotStored(m *message.Message, handler, topic string, logger *slog.Logger, err error) {
	if m.Context().Err() != nil {
		return
	}
	l := fromMessage(m, handler, topic)
	ctx := event.WithMessage(m.Context(), event.NewMessage(topic, handler, l.CorrelationID, m.Payload, m.UUID))
	logger.ErrorContext(ctx, "a dead letter could not be stored; it stays in its queue and is tried again", "error", err)
}

// fromMessage reads what the worker's middleware wrote into the metadata, or
// the transport for what a broker gave up. A message that came to the dead
// queue in another way has none of it, and is a letter all the same.
func fromMessage(m *message.Message, handler, topic string) *Letter {
	l := &Letter{
		Handler: handler, Topic: topic,
		Identity:      event.Identity(m.Payload, m.UUID),
		Requeues:      transport.Count(m, transport.KeyRequeues),
		Reason:        m.Metadata.Get(wmiddleware.ReasonForPoisonedKey),
		Error:         m.Metadata.Get(transport.KeyError),
		CorrelationID: m.Metadata.Get(transport.KeyCorrelationID),
		Attempts:      transport.Count(m, transport.KeyAttempts),
		Redeliveries:  transport.Count(m, transport.KeyRedeliveries),
		FirstFailedAt: transport.Time(m, transport.KeyFirstFailedAt),
		LastFailedAt:  transport.Time(m, transport.KeyLastFailedAt),
		UUID:          m.UUID, Metadata: m.Metadata, Payload: m.Payload,
	}
	if l.LastFailedAt.IsZero() {
		l.LastFailedAt = time.Now().UTC()
	}
	if l.FirstFailedAt.IsZero() {
		l.FirstFailedAt = l.LastFailedAt
	}
	if l.Reason == "" {
		l.Reason = "unknown"
	}
	if l.CorrelationID == "" {
		l.CorrelationID = l.Identity
	}
	return l
}
