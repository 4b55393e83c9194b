package middleware

import (
	"errors"
	"fmt"
	"maps"

	"github.com/ThreeDotsLabs/watermill/message"

	"github.com/answerfeed/answerfeed/app/event"
	"github.com/answerfeed/answerfeed/app/failure"
	"github.com/answerfeed/answerfeed/internal/transport"
)

// Limits keeps from the handler what no handler should have to expect:
// metadata that could not be read, and more bytes than the contract allows.
func Limits(next message.HandlerFunc) message.HandlerFunc {
	return func(m *message.Message) ([]*message.Message, error) {
		if _, bad := m.Metadata[transport.KeyBadMetadata]; bad { // which may have been an empty text
			return nil, failure.Permanent(failure.Malformed, errors.New("the metadata is no object of strings"))
		}
		if len(m.Payload) > event.MaxPayload {
			return nil, failure.Permanent(failure.TooLarge, fmt.Errorf("the payload has %d bytes; at most %d are allowed", len(m.Payload), event.MaxPayload))
		}
		err := event.CheckMetadata(m.Metadata)
		if e, ok := errors.AsType[*event.Error](err); ok && e.Reason == event.ReasonTooLarge {
			err = event.CheckMetadata(withoutNotes(m.Metadata))
		}
		if err != nil {
			return nil, FromEvent(err)
		}
		return next(m)
	}
}

// maxNote is the longest value, in bytes, that counts as the worker's note: a
// correlation id that it minted.
const maxNote = 128

// withoutNotes leaves out what the worker itself writes into a message that
// comes again: a producer that used the limit to the full knows nothing of it.
func withoutNotes(all message.Metadata) message.Metadata {
	given := maps.Clone(all)
	for _, key := range []string{
		transport.KeyCorrelationID, transport.KeyAttempts, transport.KeyRedeliveries,
		transport.KeyFirstFailedAt, transport.KeyLastFailedAt, transport.KeyRequeues, transport.KeyReturns,
	} {
		if len(given[key]) <= maxNote {
			delete(given, key)
		}
	}
	return given
}

// FromEvent gives the errors of package event their verdict: a message that
// breaks the contract never heals.
func FromEvent(err error) error {
	var e *event.Error
	if errors.As(err, &e) {
		return failure.Permanent(failure.Reason(e.Reason), err)
	}
	return err
}
