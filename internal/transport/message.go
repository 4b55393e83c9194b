package transport

import (
	"context"
	"strconv"
	"time"

	"github.com/ThreeDotsLabs/watermill/message"
)

// Metadata keys that travel with a message. Those of [message.Message]
// tooling at large come first; those of the worker alone have its name.
const (
	KeyCorrelationID = "correlation_id"
	KeyTraceParent   = "traceparent"

	// KeyRedeliveries counts the durable delayed redeliveries behind a
	// message; KeyAttempts the attempts at it; KeyFirstFailedAt and
	// KeyLastFailedAt are RFC 3339; KeyRequeues counts how often a person
	// sent it back from the desk.
	KeyRedeliveries  = "answerfeed_redeliveries"
	KeyAttempts      = "answerfeed_attempts"
	KeyFirstFailedAt = "answerfeed_first_failed_at"
	KeyLastFailedAt  = "answerfeed_last_failed_at"
	KeyRequeues      = "answerfeed_requeues"
	// KeyReturns counts the deliveries behind a message that a broker gave up
	// and that was put back: the broker's own count began anew.
	KeyReturns = "answerfeed_returns"
	// KeyError is the error text of a dead letter; its reason is in
	// Watermill's own reason_poisoned.
	KeyError = "answerfeed_error"
	// KeyBadMetadata holds what the transport could not read as metadata.
	KeyBadMetadata = "answerfeed_bad_metadata"
)

// Count reads one of the counters; what is no number counts as 0.
func Count(m *message.Message, key string) int {
	text := m.Metadata.Get(key)
	if text == "" { // nearly always; an error would be made to say so
		return 0
	}
	n, err := strconv.Atoi(text)
	if err != nil || n < 0 {
		return 0
	}
	return n
}

// SetCount writes one of the counters.
func SetCount(m *message.Message, key string, n int) { m.Metadata.Set(key, strconv.Itoa(n)) }

// Time reads one of the times; what is no time is the zero time.
func Time(m *message.Message, key string) time.Time {
	t, err := time.Parse(time.RFC3339Nano, m.Metadata.Get(key))
	if err != nil {
		return time.Time{}
	}
	return t
}

// SetTime writes one of the times, in UTC.
func SetTime(m *message.Message, key string, t time.Time) {
	m.Metadata.Set(key, t.UTC().Format(time.RFC3339Nano))
}

type deliveryKey struct{}

// Delivery is what a transport knows of a message beside its text.
type Delivery struct {
	// Returns is how often the broker delivered it before: a suspicion, since
	// brokers count for every message that was in flight.
	Returns int
	// Claim is the transport's own handle.
	Claim any
}

// WithDelivery puts d into a message's context, for DeliveryOf.
func WithDelivery(ctx context.Context, d Delivery) context.Context {
	return context.WithValue(ctx, deliveryKey{}, d)
}

// DeliveryOf is what the transport that delivered m knows of it.
func DeliveryOf(m *message.Message) (Delivery, bool) {
	d, ok := m.Context().Value(deliveryKey{}).(Delivery)
	return d, ok
}
