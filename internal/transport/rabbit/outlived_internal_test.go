package rabbit

import (
	"strconv"
	"testing"
	"time"

	amqp "github.com/rabbitmq/amqp091-go"
	"github.com/stretchr/testify/require"

	"github.com/answerfeed/answerfeed/internal/transport"
	"github.com/answerfeed/answerfeed/internal/transport/inflight"
)

func delivered(change func(*amqp.Delivery)) *claim {
	d := amqp.Delivery{
		MessageId: "m1", Timestamp: time.Unix(1, 0), Body: []byte("body"),
		Headers: amqp.Table{"a": "1", "b": int64(2), "x-delivery-count": int64(3)},
	}
	change(&d)
	return newClaim(&consumer{queue: "answer-added.feed", signal: make(chan struct{}, 1)}, nil, d)
}

// What is swallowed is the same delivery come again, and nothing beside it.
func TestFingerprint_TellsApart(t *testing.T) {
	first := delivered(func(*amqp.Delivery) {}).fingerprint()
	again := delivered(func(d *amqp.Delivery) {
		d.Headers["x-delivery-count"] = int64(4)
		d.Redelivered, d.DeliveryTag = true, 9
	})
	require.Equal(t, first, again.fingerprint())
	for name, change := range map[string]func(*amqp.Delivery){
		"another UUID":    func(d *amqp.Delivery) { d.MessageId = "m2" },
		"another payload": func(d *amqp.Delivery) { d.Body = []byte("other") },
		"sent later":      func(d *amqp.Delivery) { d.Timestamp = time.Unix(2, 0) },
		"a requeue":       func(d *amqp.Delivery) { d.Headers[transport.KeyRequeues] = "1" },
		"a delayed copy":  func(d *amqp.Delivery) { d.Headers[transport.KeyRedeliveries] = "1" },
		"more attempts":   func(d *amqp.Delivery) { d.Headers[transport.KeyAttempts] = "3" },
		"any header":      func(d *amqp.Delivery) { d.Headers["replay"] = "r1" },
	} {
		t.Run(name, func(t *testing.T) { require.NotEqual(t, first, delivered(change).fingerprint()) })
	}
	other := delivered(func(*amqp.Delivery) {})
	other.consumer.queue = "answer-added.leaderboard"
	require.NotEqual(t, first, other.fingerprint())
}

// numbered is a claim whose message has that number.
func numbered(n int) *claim {
	return delivered(func(d *amqp.Delivery) { d.MessageId = strconv.Itoa(n) })
}

func TestOutlived_RemembersForAnHourAndTenThousand(t *testing.T) {
	o, now := newOutlived(), time.Unix(0, 0)
	o.now = func() time.Time { return now }
	known := func(n int) bool {
		a, handled := o.join(numbered(n))
		require.Nil(t, a)
		return handled
	}
	o.remember(numbered(0).fingerprint())
	require.True(t, known(0))
	require.False(t, known(1))
	now = now.Add(rememberedFor - 1)
	require.True(t, known(0))
	now = now.Add(1)
	require.False(t, known(0))
	for n := range maxRemembered + 2 {
		o.remember(numbered(n).fingerprint())
	}
	require.False(t, known(1))
	require.True(t, known(2))
	require.True(t, known(maxRemembered+1))
	require.Len(t, o.handled, maxRemembered)
	require.Len(t, o.order, maxRemembered)
	for range 2 * maxRemembered { // one message again and again
		o.remember(numbered(2).fingerprint())
	}
	require.True(t, known(2))
	require.LessOrEqual(t, len(o.order), maxRemembered)
}

// Two messages that are the same byte by byte are settled by the worst of their
// attempts: so neither is lost.
func TestOutlived_TwinsEndAsTheWorst(t *testing.T) {
	for name, test := range map[string]struct{ first, second, both inflight.Outcome }{
		"both handled":    {inflight.Acked, inflight.Acked, inflight.Acked},
		"one failed":      {inflight.Acked, inflight.Nacked, inflight.Nacked},
		"the other":       {inflight.Nacked, inflight.Acked, inflight.Nacked},
		"one interrupted": {inflight.Returned, inflight.Nacked, inflight.Returned},
	} {
		t.Run(name, func(t *testing.T) {
			o, key := newOutlived(), numbered(1).fingerprint()
			a := o.begin(key)
			require.Same(t, a, o.begin(key))
			waiting := []*claim{numbered(1), numbered(1)}
			for _, cl := range waiting {
				joined, _ := o.join(cl)
				require.Same(t, a, joined)
			}
			require.True(t, o.awaited(a))
			o.end(a, test.first)
			require.False(t, waiting[0].ended)
			o.end(a, test.second)
			for _, cl := range waiting {
				require.True(t, cl.ended)
				require.Equal(t, test.both, cl.outcome)
			}
			_, handled := o.join(numbered(1))
			require.Equal(t, test.both == inflight.Acked, handled)
			require.Empty(t, o.running)
		})
	}
}

// A delivery whose own channel is gone waits no more.
func TestOutlived_Leave(t *testing.T) {
	o, cl := newOutlived(), numbered(1)
	a := o.begin(cl.fingerprint())
	cl.joined, _ = o.join(cl)
	require.True(t, o.leave(cl))
	require.False(t, o.awaited(a))
	require.False(t, o.leave(cl))
	o.end(a, inflight.Acked)
	require.False(t, cl.ended)
}
