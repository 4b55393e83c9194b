package producer_test

import (
	"context"
	"fmt"
	"log/slog"
	"path/filepath"
	"testing"

	"github.com/ThreeDotsLabs/watermill/message"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/answerfeed/answerfeed/app/database"
	"github.com/answerfeed/answerfeed/app/event"
	"github.com/answerfeed/answerfeed/internal/producer"
	"github.com/answerfeed/answerfeed/internal/transport"
	"github.com/answerfeed/answerfeed/internal/transport/sqlqueue"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// queue is a transport on a new file, on which the handler h listens to each
// of the topics.
func queue(t *testing.T, topics ...string) *sqlqueue.Transport {
	t.Helper()
	db, err := database.Open(t.Context(), database.Config{Driver: database.SQLite, DSN: filepath.Join(t.TempDir(), "test.db")})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, db.Close()) })
	q, err := sqlqueue.New(db, sqlqueue.Config{Logger: slog.New(slog.DiscardHandler)})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, q.Close()) })
	var subs []transport.Subscription
	for _, topic := range topics {
		subs = append(subs, transport.Subscription{Topic: topic, Handler: "h"})
	}
	require.NoError(t, q.Migrate(t.Context(), subs))
	return q
}

func ready(t *testing.T, q *sqlqueue.Transport) map[string]int {
	t.Helper()
	all, err := q.Backlog(t.Context())
	require.NoError(t, err)
	counts := map[string]int{}
	for _, b := range all {
		counts[b.Topic] = int(b.Ready)
	}
	return counts
}

func item(topic string, n int) producer.Item {
	return producer.Item{Topic: topic, Message: producer.EventMessage(fmt.Appendf(nil, `{"event_id":"%s-%d"}`, topic, n)), Where: fmt.Sprintf("f:%d", n)}
}

// counting publishes through p and counts the calls.
type counting struct {
	message.Publisher
	calls []int
}

func (c *counting) Publish(topic string, msgs ...*message.Message) error {
	c.calls = append(c.calls, len(msgs))
	return c.Publisher.Publish(topic, msgs...)
}

func TestNewMessage(t *testing.T) {
	m := producer.NewMessage("id", []byte("p"), map[string]string{"k": "v"})
	require.Equal(t, "id", m.UUID)
	require.Equal(t, message.Metadata{"k": "v", transport.KeyCorrelationID: "id"}, m.Metadata)
	m = producer.NewMessage("id", nil, map[string]string{transport.KeyCorrelationID: "c"})
	require.Equal(t, message.Metadata{transport.KeyCorrelationID: "c"}, m.Metadata)
	m = producer.EventMessage([]byte(`{"event_id":"e1"}`))
	require.Equal(t, "e1", m.UUID)
	require.Equal(t, event.Identity([]byte("x"), ""), producer.EventMessage([]byte("x")).UUID)
}

func TestProducer_GathersAThousand(t *testing.T) {
	q := queue(t, "a")
	pub := &counting{Publisher: q.Publisher()}
	p := producer.New(pub, func(i producer.Item, err error) { require.NoError(t, err) })
	for n := range 2500 {
		require.NoError(t, p.Add(t.Context(), item("a", n)))
	}
	require.Equal(t, []int{1000, 1000}, pub.calls)
	require.Equal(t, 2000, p.Published(), "the rest is not confirmed yet")
	require.NoError(t, p.Flush(t.Context()))
	require.Equal(t, []int{1000, 1000, 500}, pub.calls)
	require.Equal(t, 2500, p.Published())
	require.Equal(t, map[string]int{"a": 2500}, ready(t, q))
	require.NoError(t, p.Flush(t.Context()), "nothing is left")
	require.Len(t, pub.calls, 3)
}

func TestProducer_GathersEightMiB(t *testing.T) {
	q := queue(t, "a")
	pub := &counting{Publisher: q.Publisher()}
	p := producer.New(pub, nil)
	for n := range 17 {
		i := item("a", n)
		i.Message.Payload = make([]byte, event.MaxPayload)
		require.NoError(t, p.Add(t.Context(), i))
	}
	require.Equal(t, []int{8, 8}, pub.calls)
}

func TestProducer_ManyTopics(t *testing.T) {
	var topics []string
	for n := range 40 {
		topics = append(topics, fmt.Sprintf("topic-%d", n))
	}
	q := queue(t, topics...)
	p := producer.New(q.Publisher(), func(i producer.Item, err error) { require.NoError(t, err) })
	for n := range 1500 {
		require.NoError(t, p.Add(t.Context(), item(topics[n%len(topics)], n)))
	}
	require.NoError(t, p.Flush(t.Context()))
	require.Equal(t, 1500, p.Published())
	total := 0
	for _, n := range ready(t, q) {
		total += n
	}
	require.Equal(t, 1500, total)
}

func TestProducer_RefusesWhatNobodyListensTo(t *testing.T) {
	q := queue(t, "a", "b")
	refused := map[string]string{}
	p := producer.New(q.Publisher(), func(i producer.Item, err error) {
		require.ErrorIs(t, err, transport.ErrNoQueue)
		refused[i.Where] = err.Error()
	})
	for n, topic := range []string{"a", "nobody", "b", "a.h", "a.nobody", "a", "nobody"} {
		require.NoError(t, p.Add(t.Context(), item(topic, n)))
	}
	require.NoError(t, p.Flush(t.Context()), "the transport is well")
	require.Equal(t, map[string]string{
		"f:1": `nobody listens to "nobody"`, "f:4": `nobody listens to "a.nobody"`, "f:6": `nobody listens to "nobody"`,
	}, refused)
	require.Equal(t, 4, p.Published())
	require.Equal(t, map[string]int{"a": 3, "b": 1}, ready(t, q))
}

func TestProducer_TransportThatCannotBeUsed(t *testing.T) {
	q := queue(t, "a")
	require.NoError(t, q.Close())
	var refused []string
	p := producer.New(q.Publisher(), func(i producer.Item, err error) {
		require.ErrorIs(t, err, transport.ErrClosed)
		refused = append(refused, i.Where)
	})
	require.NoError(t, p.Add(t.Context(), item("a", 1)))
	require.NoError(t, p.Add(t.Context(), item("a", 2)))
	require.ErrorIs(t, p.Flush(t.Context()), transport.ErrClosed)
	require.Equal(t, []string{"f:1", "f:2"}, refused)
	require.Zero(t, p.Published())
}

func TestProducer_EndsWithTheContext(t *testing.T) {
	q := queue(t, "a")
	refused := 0
	p := producer.New(q.Publisher(), func(producer.Item, error) { refused++ })
	ctx, cancel := context.WithCancel(t.Context())
	require.NoError(t, p.Add(ctx, item("a", 1)))
	cancel()
	require.ErrorIs(t, p.Flush(ctx), context.Canceled)
	require.Equal(t, 1, refused)
	require.Zero(t, p.Published())
}
