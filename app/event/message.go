package event

import (
	"context"
	"sync"
)

// Message is what a handler may know of the message that its event came in.
type Message struct {
	Topic, Handler string
	// CorrelationID ties together all that one first event set off. Never
	// empty.
	CorrelationID string

	identify func() string
}

// NewMessage returns the message with this payload and Watermill UUID. An
// empty correlation id becomes the identity, so that it stays the same when
// the message comes again.
func NewMessage(topic, handler, correlationID string, payload []byte, uuid string) *Message {
	m := &Message{
		Topic: topic, Handler: handler, CorrelationID: correlationID,
		identify: sync.OnceValue(func() string { return Identity(payload, uuid) }),
	}
	if m.CorrelationID == "" {
		m.CorrelationID = m.Identity()
	}
	return m
}

// Identity is what makes it the same message when it comes again: see the
// function of that name.
func (m *Message) Identity() string { return m.identify() }

type messageKey struct{}

// WithMessage puts m into a handler's context.
func WithMessage(ctx context.Context, m *Message) context.Context {
	return context.WithValue(ctx, messageKey{}, m)
}

// MessageOf returns the message that a handler's context belongs to, nil
// outside of one.
func MessageOf(ctx context.Context) *Message {
	m, _ := ctx.Value(messageKey{}).(*Message)
	return m
}
