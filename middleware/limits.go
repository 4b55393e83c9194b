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

// Limits refuses messages that no handler should have to expect: those whose
// metadata cannot be read, and those that are larger than the contract allows.
func Limits(next message.HandlerFunc) message.HandlerFunc {
	return func(m *message.Message) ([]*message.Message, error) {
		if _, bad := m.Metadata[transport.KeyBadMetadata]; bad { // present, though the value may be empty
			return nil, failure.Permanent(failure.Malformed, errors.New("the metadata is no object of strings"))
		}
		if len(m.Payload) > event.MaxPayload {
			return nil, failure.Permanent(failure.TooLarge, fmt.Errorf("the payload has %d bytes; at most %d are allowed", len(m.Payload), event.MaxPayload))
		}
		err := event.CheckMetadata(m.Metadata)
		if e, ok := errors.AsType[*event.Error](err); ok && e.Reason == event.ReasonTooLarge {
			err = event.CheckMetadata(withoutWorkerKeys(m.Metadata))
		}
		if err != nil {
			return nil, FromEvent(err)
		}
		return next(m)
	}
}

// maxNote is the length in bytes of the longest value that the worker itself
// writes: a correlation id that it made.
const maxNote = 128

// withoutWorkerKeys removes the keys that the worker adds to a redelivered message.
// A message whose producer used the limit to the full must not fail because of them.
func withoutWorkerKeys(all message.Metadata) message.Metadata {
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

// FromEvent makes an error of package event permanent, since a message that breaks
// the contract fails at each attempt.
func FromEvent(err error) error {
	var e *event.Error
	if errors.As(err, &e) {
		return failure.Permanent(failure.Reason(e.Reason), err)
	}
	return err
}
