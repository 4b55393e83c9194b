package rabbit_test

import (
	"sync/atomic"
	"testing"
	"time"

	"github.com/ThreeDotsLabs/watermill"
	wamqp "github.com/ThreeDotsLabs/watermill-amqp/v2/pkg/amqp"
	"github.com/ThreeDotsLabs/watermill/message"
	amqp "github.com/rabbitmq/amqp091-go"
	"github.com/stretchr/testify/require"

	"github.com/answerfeed/answerfeed/internal/transport"
)

// These show why the package has a subscriber of its own: each trouble is
// first seen with watermill-amqp's, and then not with this one's.

// counting is the stock marshaler, and counts what it is given.
type counting struct {
	wamqp.DefaultMarshaler
	seen *atomic.Int64
}

func (c counting) Unmarshal(d amqp.Delivery) (*message.Message, error) {
	c.seen.Add(1)
	return c.DefaultMarshaler.Unmarshal(d)
}

// stock is a running subscriber of watermill-amqp on a queue of this name.
func stock(t *testing.T, url, queue string) (ch <-chan *message.Message, seen *atomic.Int64) {
	t.Helper()
	cfg := wamqp.NewDurableQueueConfig(url)
	cfg.Consume.Qos.PrefetchCount = 100
	seen = &atomic.Int64{}
	cfg.Marshaler = counting{seen: seen}
	sub, err := wamqp.NewSubscriber(cfg, watermill.NopLogger{})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, sub.Close()) })
	ch, err = sub.Subscribe(t.Context(), queue)
	require.NoError(t, err)
	return ch, seen
}

// send publishes without Watermill.
func send(t *testing.T, ch *amqp.Channel, exchange, key string, p amqp.Publishing) {
	t.Helper()
	require.NoError(t, ch.PublishWithContext(t.Context(), exchange, key, true, false, p))
}

func TestForeignHeaders(t *testing.T) {
	url, p := shared.get(t).URL, prefix()
	ch := bare(t, url)
	_, seen := stock(t, url, p+"stock")
	send(t, ch, "", p+"stock", amqp.Publishing{Headers: amqp.Table{"n": int32(1)}})
	require.Eventually(t, func() bool { return seen.Load() > 200 }, patience, time.Millisecond,
		"the stock subscriber refuses it again and again")
	_, err := ch.QueueDelete(p+"stock", false, false, false)
	require.NoError(t, err)

	r := migrated(t, settings(url, p, noSettings))
	headers := oddHeaders()
	for _, key := range []string{"infinity", "not a number"} {
		delete(headers, key) // RabbitMQ hangs up
	}
	send(t, ch, p+topic, "", amqp.Publishing{Headers: headers, CorrelationId: "c", MessageId: "m", Body: []byte("{}")})
	messages := consume(t, r, 10)
	m := next(t, messages)
	require.Equal(t, "m", m.UUID)
	for key := range headers {
		require.Equal(t, odd[key].text, m.Metadata[key], key)
	}
	require.Equal(t, "c", m.Metadata.Get(transport.KeyCorrelationID))

	// Published again it is text, and comes back the same.
	require.NoError(t, r.Redeliver(t.Context(), m, time.Millisecond))
	m.Ack()
	again := next(t, messages)
	require.Equal(t, m.Metadata, again.Metadata)
	require.Equal(t, m.UUID, again.UUID)
	again.Ack()
}

// A message that was sent to further queues by CC still can be moved: as text
// that header would close the channel under everybody.
func TestCarbonCopies(t *testing.T) {
	url, p := shared.get(t).URL, prefix()
	r := migrated(t, settings(url, p, noSettings))
	send(t, bare(t, url), p+topic, "", amqp.Publishing{Headers: amqp.Table{"CC": []any{"elsewhere"}, "a": "b"}})
	messages := consume(t, r, 1)
	m := next(t, messages)
	require.Equal(t, message.Metadata{"a": "b"}, m.Metadata)
	m.Metadata.Set("CC", "text")
	require.NoError(t, r.Redeliver(t.Context(), m, time.Millisecond))
	m.Ack()
	next(t, messages).Ack()
}

// The broker's own x-death is not published again, else it would drop the
// message as a cycle.
func TestDelayedAgainAndAgain(t *testing.T) {
	url, p := shared.get(t).URL, prefix()
	r := migrated(t, settings(url, p, noSettings))
	require.NoError(t, r.Publisher().Publish(topic, message.NewMessage("m", nil)))
	messages := consume(t, r, 1)
	for range 3 {
		m := next(t, messages)
		require.Equal(t, "m", m.UUID)
		require.NoError(t, r.Redeliver(t.Context(), m, time.Millisecond))
		m.Ack()
	}
	next(t, messages).Ack()
}

func TestQueueDeletedUnderfoot(t *testing.T) {
	url, p := shared.get(t).URL, prefix()
	ch := bare(t, url)
	ghosts, _ := stock(t, url, p+"stock")
	send(t, ch, "", p+"stock", amqp.Publishing{Body: []byte("x")})
	next(t, ghosts).Ack()
	_, err := ch.QueueDelete(p+"stock", false, false, false)
	require.NoError(t, err)
	ghost := next(t, ghosts)
	require.Empty(t, ghost.UUID, "the stock subscriber delivers what nobody sent")
	require.Empty(t, ghost.Payload)
	ghost.Ack()

	r := migrated(t, settings(url, p, noSettings))
	messages := consume(t, r, 10)
	require.NoError(t, r.Publisher().Publish(topic, message.NewMessage("held", nil)))
	held := next(t, messages)
	for _, gone := range []string{subscription().Queue(), subscription().DeadQueue()} {
		_, err = ch.QueueDelete(p+gone, false, false, false)
		require.NoError(t, err)
	}
	// It is made again by whoever needs it first: the publisher, or the
	// consumer.
	require.NoError(t, r.Publisher().Publish(topic, message.NewMessage("after", nil)))
	m := next(t, messages)
	require.Equal(t, "after", m.UUID, "no ghost comes")
	require.NoError(t, r.DeadLetter(t.Context(), m))
	m.Ack()
	held.Ack() // of a queue that is gone
	require.NoError(t, r.Publisher().Publish(topic, message.NewMessage("last", nil)))
	m = next(t, messages)
	require.Equal(t, "last", m.UUID)
	m.Ack()
}

func TestExchangeDeletedUnderfoot(t *testing.T) {
	url, p := shared.get(t).URL, prefix()
	r := migrated(t, settings(url, p, noSettings))
	messages := consume(t, r, 10)
	ch := bare(t, url)
	for _, id := range []string{"first", "second", "third"} {
		require.NoError(t, r.Publisher().Publish(topic, message.NewMessage(id, nil)))
		m := next(t, messages)
		require.Equal(t, id, m.UUID)
		m.Ack()
		require.NoError(t, ch.ExchangeDelete(p+topic, false, false))
	}
}

func TestNackedMessages(t *testing.T) {
	url, p := shared.get(t).URL, prefix()
	ch := bare(t, url)
	const pause, times = 100 * time.Millisecond, 5
	again := func(messages <-chan *message.Message) time.Duration {
		began := time.Now()
		for range times {
			next(t, messages).Nack()
		}
		next(t, messages).Ack()
		return time.Since(began)
	}
	messages, _ := stock(t, url, p+"stock")
	send(t, ch, "", p+"stock", amqp.Publishing{})
	require.Less(t, again(messages), times*pause, "the stock subscriber makes no pause")

	cfg := settings(url, p, noSettings)
	cfg.NackPause = pause
	r := migrated(t, cfg)
	send(t, ch, p+topic, "", amqp.Publishing{})
	require.GreaterOrEqual(t, again(consume(t, r, 1)), times*pause)
}

func TestManyInFlight(t *testing.T) {
	url, p := shared.get(t).URL, prefix()
	ch := bare(t, url)
	messages, _ := stock(t, url, p+"stock")
	send(t, ch, "", p+"stock", amqp.Publishing{Body: []byte("1")})
	send(t, ch, "", p+"stock", amqp.Publishing{Body: []byte("2")})
	first := next(t, messages)
	select {
	case <-messages:
		require.Fail(t, "the stock subscriber has two in flight")
	case <-time.After(200 * time.Millisecond):
	}
	first.Ack()
	next(t, messages).Ack()

	r := migrated(t, settings(url, p, noSettings))
	const window = 100
	for range window {
		send(t, ch, p+topic, "", amqp.Publishing{})
	}
	messages = consume(t, r, window)
	held := make([]*message.Message, window)
	for i := range held {
		held[i] = next(t, messages)
	}
	for _, m := range held {
		m.Ack()
	}
}

// Messages that end one closely after the other are acknowledged meanwhile.
func TestAcknowledgedInASteadyFlow(t *testing.T) {
	const n = 2000
	url, p := shared.get(t).URL, prefix()
	r := migrated(t, settings(url, p, noSettings))
	all := make([]*message.Message, n)
	for i := range all {
		all[i] = message.NewMessage("m", nil)
	}
	require.NoError(t, r.Publisher().Publish(topic, all...))
	messages := consume(t, r, n)
	for i := range all {
		all[i] = next(t, messages)
	}
	var acked atomic.Int64
	done := make(chan struct{})
	go func() {
		defer close(done)
		tick := time.NewTicker(500 * time.Microsecond)
		defer tick.Stop()
		for _, m := range all {
			<-tick.C
			m.Ack()
			acked.Add(1)
		}
	}()
	require.Eventually(t, func() bool {
		b, err := r.Backlog(t.Context())
		require.NoError(t, err)
		return b[0].InFlight < n-100
	}, patience, time.Millisecond)
	require.Less(t, acked.Load(), int64(n), "it was acknowledged at last, not meanwhile")
	<-done
}

// A stock publisher feeds the worker, and a stock subscriber with a queue of
// its own gets the events, too.
func TestStockBesideIt(t *testing.T) {
	url, p := shared.get(t).URL, prefix()
	r := migrated(t, settings(url, p, noSettings))
	cfg := wamqp.NewDurablePubSubConfig(url, wamqp.GenerateQueueNameTopicNameWithSuffix("stock"))
	pub, err := wamqp.NewPublisher(cfg, watermill.NopLogger{})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, pub.Close()) })
	sub, err := wamqp.NewSubscriber(cfg, watermill.NopLogger{})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, sub.Close()) })
	theirs, err := sub.Subscribe(t.Context(), p+topic)
	require.NoError(t, err)
	ours := consume(t, r, 10)

	m := message.NewMessage("stock", []byte("{}"))
	m.Metadata.Set("a", "b")
	require.NoError(t, pub.Publish(p+topic, m))
	for _, ch := range []<-chan *message.Message{theirs, ours} {
		got := next(t, ch)
		require.True(t, m.Equals(got))
		got.Ack()
	}
	m.UUID = "ours"
	require.NoError(t, r.Publisher().Publish(topic, m))
	for _, ch := range []<-chan *message.Message{theirs, ours} {
		got := next(t, ch)
		require.True(t, m.Equals(got))
		got.Ack()
	}
}
