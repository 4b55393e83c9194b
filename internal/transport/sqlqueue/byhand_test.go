package sqlqueue_test

import (
	"slices"
	"testing"

	"github.com/ThreeDotsLabs/watermill/message"
	"github.com/stretchr/testify/require"

	"github.com/answerfeed/answerfeed/internal/transport"
	"github.com/answerfeed/answerfeed/internal/transport/sqlqueue"
)

const byHand = `INSERT INTO queue_messages (queue_id, due_at, enqueued_at, uuid, metadata, payload)
	SELECT id, $1, 0, $2, $3, $4 FROM queues WHERE name = 'answer-added.feed'`

// Whatever another program writes into the table is refused there or
// delivered; it never stops the queue.
func TestRowsByHand_AreDelivered(t *testing.T) {
	bad := func(text string) message.Metadata { return message.Metadata{transport.KeyBadMetadata: text} }
	tests := map[string]struct {
		metadata any
		payload  any
		want     message.Metadata
		bytes    string
	}{
		"good":                 {`{"a": "b"}`, []byte("{}"), message.Metadata{"a": "b"}, "{}"},
		"an array":             {`["a"]`, []byte("{}"), bad(`["a"]`), "{}"},
		"a number inside":      {`{"a":1}`, []byte("{}"), bad(`{"a":1}`), "{}"},
		"an object inside":     {`{"a":{}}`, []byte("{}"), bad(`{"a":{}}`), "{}"},
		"null":                 {`null`, []byte("{}"), bad(`null`), "{}"},
		"a string":             {`"x"`, []byte("{}"), bad(`"x"`), "{}"},
		"no JSON":              {`{"a":`, []byte("{}"), bad(`{"a":`), "{}"},
		"empty":                {``, []byte("{}"), bad(``), "{}"},
		"invalid UTF-8":        {"\xff", []byte("{}"), bad("\xff"), "{}"},
		"a number":             {7, []byte("{}"), bad("7"), "{}"},
		"the payload as text":  {`{}`, `{"title":"Ωμέγα"}`, message.Metadata{}, `{"title":"Ωμέγα"}`},
		"the payload empty":    {`{}`, ``, message.Metadata{}, ``},
		"the payload a number": {`{}`, 12, message.Metadata{}, `12`},
	}
	// What PostgreSQL refuses to store is tested no further.
	onlySQLite := []string{"invalid UTF-8", "a number", "the payload a number"}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			onBoth(t, func(t *testing.T, at place) {
				if !at.onSQLite() {
					if slices.Contains(onlySQLite, name) {
						return
					}
					test.payload = []byte(test.bytes)
				}
				q, _ := start(t, at, sqlqueue.Config{})
				exec(t, raw(t, at), byHand, 0, "id", test.metadata, test.payload)
				m := next(t, consume(t, q, 10))
				require.Equal(t, "id", m.UUID)
				require.Equal(t, test.want, m.Metadata)
				require.Equal(t, test.bytes, string(m.Payload))
				m.Ack()
				eventually(t, func() bool { return backlog(t, q) == transport.Backlog{} })
			})
		})
	}
}

// PostgreSQL refuses all of this.
func TestRowsByHand_AreRefusedOrHarmless(t *testing.T) {
	at := onSQLite(t)
	q, _ := start(t, at, sqlqueue.Config{})
	conn := raw(t, at)
	insert := `INSERT INTO queue_messages (queue_id, due_at, token, deliveries, enqueued_at, uuid, metadata, payload) VALUES ($1, $2, $3, $4, $5, $6, $7, $8)`
	good := []any{1, 0, 0, 0, 0, "id", "{}", []byte("{}")}
	for column := range good {
		for name, value := range map[string]any{"NULL": nil, "text": "soon", "bytes": []byte("soon"), "fraction": 1.5} {
			row := append([]any{}, good...)
			row[column] = value
			if _, err := conn.ExecContext(t.Context(), insert, row...); err != nil {
				continue
			}
			// What the table took must not stand in the way of others.
			require.NotNil(t, value, "column %d took NULL", column)
			require.GreaterOrEqual(t, column, 5, "column %d took %s", column, name)
		}
	}
	rows := int(backlog(t, q).Ready)
	messages := consume(t, q, 100)
	for range rows {
		next(t, messages).Ack()
	}
	eventually(t, func() bool { return backlog(t, q) == transport.Backlog{} })
}
