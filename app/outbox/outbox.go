// Package outbox publishes events inside the transaction that makes them true:
// an answer and its event are stored together, or neither is. It is for
// producers in Go that share the worker's database, and for handlers inside
// [database.DB.Once]. Other languages have the same as one SQL statement; see
// docs/outbox.md.
//
// The one thing to know: after the commit the event waits in a table until a
// relay has moved it to the transport, and is sent at least once, each time
// with the same UUID. The order of events is not kept.
package outbox

import (
	"context"
	"database/sql"
	"encoding/json"
	"fmt"
	"maps"

	"github.com/answerfeed/answerfeed/app/event"
	"github.com/answerfeed/answerfeed/internal/transport"
)

// Event is what can be published: [event.AnswerAdded] and its like, or a type
// of one's own. Encode returns the payload, one JSON object.
type Event interface {
	Encode() ([]byte, error)
}

// Option changes how an event is published.
type Option func(map[string]string)

// WithMetadata adds metadata. Keys have 1 to 128 bytes, keys and values
// together at most 32 KiB. A correlation_id given here goes before that of the
// message that is being handled.
func WithMetadata(metadata map[string]string) Option {
	return func(m map[string]string) { maps.Copy(m, metadata) }
}

// insert is understood by both databases. All other columns have defaults, the
// message's UUID among them.
const insert = `INSERT INTO outbox (topic, metadata, payload) VALUES ($1, $2, $3)`

// Publish stores the event in tx, to be sent on topic when, and only when, tx
// commits. The correlation id of a message whose handler calls it goes on with
// the event; without one the event's identity is its correlation id.
//
// What breaks the contract of events is refused with an [*event.Error], and tx
// may go on. After any other error tx must be rolled back.
func Publish(ctx context.Context, tx *sql.Tx, topic string, e Event, opts ...Option) error {
	if err := publish(ctx, tx, topic, e, opts); err != nil {
		return fmt.Errorf("publishing to %q by the outbox: %w", topic, err)
	}
	return nil
}

func publish(ctx context.Context, tx *sql.Tx, topic string, e Event, opts []Option) error {
	if !event.ValidName(topic) {
		return &event.Error{Reason: event.ReasonInvalid, Field: "topic", Problem: "it must be 1 to 60 of a-z, 0-9 and -"}
	}
	payload, err := e.Encode()
	if err != nil {
		return err
	}
	if err := event.Validate(topic, payload); err != nil {
		return err
	}
	metadata := map[string]string{}
	if m := event.MessageOf(ctx); m != nil {
		metadata[transport.KeyCorrelationID] = m.CorrelationID
	}
	for _, o := range opts {
		o(metadata)
	}
	if err := event.CheckMetadata(metadata); err != nil {
		return err
	}
	text, err := json.Marshal(metadata)
	if err != nil {
		return err
	}
	_, err = tx.ExecContext(ctx, insert, topic, string(text), payload)
	return err
}
