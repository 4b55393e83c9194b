package transporttest

import (
	"time"

	"github.com/ThreeDotsLabs/watermill/message"
	"github.com/stretchr/testify/require"

	"github.com/answerfeed/answerfeed/internal/transport"
)

// delay is the delay of the rows on redelivery.
const delay = 500 * time.Millisecond

func failures() []row {
	return []row{
		{"a nacked message comes back after the pause and not before", false, nack},
		{"a redelivery comes not before its time, and as it was changed", false, redeliver},
		{"a message that waits holds no place in the window", false, redeliverNoPlace},
		{"a redelivery survives a restart of the broker", true, redeliverRestart},
		{"acknowledging what was redelivered leaves the redelivery alone", false, redeliverAtOnce},
		{"a dead letter rests in the dead queue with the same bytes", false, deadLetter},
		{"a dead letter survives a restart of the broker", true, deadLetterRestart},
		{"what is given back again and again stays, a message and a letter", false, manyNacks},
	}
}

func nack(s *stage) {
	const pause = 400 * time.Millisecond
	t := s.open(Settings{NackPause: pause})
	want := s.publish(t, topic, 1)
	c := s.consume(t, window(1))
	for range 3 {
		m := c.next()
		require.Equal(s, want[0], m.UUID)
		nacked := time.Now()
		m.Nack()
		m = c.next()
		require.GreaterOrEqual(s, time.Since(nacked), pause)
		require.Equal(s, want[0], m.UUID)
		d, ok := transport.DeliveryOf(m)
		require.True(s, ok)
		require.Positive(s, d.Returns)
		m.Nack()
	}
	c.next().Ack()
	s.settles(t, transport.Backlog{})
}

// manyNacks gives back more often than RabbitMQ 4 has patience by default.
func manyNacks(s *stage) {
	const times = 25
	t := s.open(Settings{NackPause: time.Millisecond})
	want := s.publish(t, topic, 1)
	for _, reader := range []transport.Consumer{window(1), {Subscription: subscription(), Dead: true, Window: 1}} {
		c := s.consume(t, reader)
		for range times {
			c.next().Nack()
		}
		m := c.next()
		require.Equal(s, want[0], m.UUID)
		if !reader.Dead {
			require.NoError(s, t.DeadLetter(s.Context(), m))
		}
		m.Ack()
	}
	s.settles(t, transport.Backlog{})
}

func redeliver(s *stage) {
	t := s.open(Settings{NackPause: long})
	c := s.consume(t, window(1))
	want := s.publish(t, topic, 1)
	first := c.next()
	first.Metadata.Set("kept", "as it is")
	transport.SetCount(first, transport.KeyRedeliveries, 1)
	began := time.Now()
	require.NoError(s, t.Redeliver(s.Context(), first, delay))
	first.Metadata.Set("later", "changes do not count")
	first.Ack()
	again := c.next()
	require.GreaterOrEqual(s, time.Since(began), delay)
	require.Equal(s, want[0], again.UUID)
	require.Equal(s, first.Payload, again.Payload)
	require.Equal(s, message.Metadata{"kept": "as it is", transport.KeyRedeliveries: "1"}, again.Metadata)

	// And once more: the count is the message's own.
	transport.SetCount(again, transport.KeyRedeliveries, transport.Count(again, transport.KeyRedeliveries)+1)
	require.NoError(s, t.Redeliver(s.Context(), again, delay))
	again.Ack()
	last := c.next()
	require.GreaterOrEqual(s, time.Since(began), 2*delay)
	require.Equal(s, 2, transport.Count(last, transport.KeyRedeliveries))
	last.Ack()
	s.settles(t, transport.Backlog{})
}

func redeliverNoPlace(s *stage) {
	t := s.open(Settings{})
	s.publish(t, topic, 3)
	c := s.consume(t, window(1))
	for range 3 {
		m := c.next()
		require.NoError(s, t.Redeliver(s.Context(), m, long))
		m.Ack()
	}
	want := s.publish(t, topic, 1)
	m := c.next()
	require.Equal(s, want[0], m.UUID)
	m.Ack()
	s.settles(t, transport.Backlog{Delayed: 3})
}

func redeliverRestart(s *stage) {
	t := s.open(Settings{})
	want := s.publish(t, topic, 1)
	m := s.consume(t, window(1)).next()
	began := time.Now()
	require.NoError(s, t.Redeliver(s.Context(), m, delay))
	m.Ack()
	require.NoError(s, t.Close())
	s.Restart(s.T)

	t = s.open(Settings{})
	m = s.consume(t, window(1)).next()
	require.GreaterOrEqual(s, time.Since(began), delay)
	require.Equal(s, want[0], m.UUID)
	m.Ack()
	s.settles(t, transport.Backlog{})
}

func redeliverAtOnce(s *stage) {
	t := s.open(Settings{})
	want := s.publish(t, topic, 1)
	c := s.consume(t, window(2))
	first := c.next()
	require.NoError(s, t.Redeliver(s.Context(), first, delay))
	second := c.next() // while the first is not acknowledged
	require.Equal(s, want[0], second.UUID)
	first.Ack()
	// A message that passes through tells that the acknowledgement has too.
	marker := s.publish(t, topic, 1)
	m := c.next()
	require.Equal(s, marker[0], m.UUID)
	m.Ack()
	s.settles(t, transport.Backlog{InFlight: 1})
	second.Ack()
	s.settles(t, transport.Backlog{})
}

func deadLetter(s *stage) {
	t := s.open(Settings{}, subscription(), subscription("leaderboard"))
	payload := []byte{0xff, 0, '{'}
	require.NoError(s, t.Publisher().Publish(topic, message.NewMessage("dead", payload)))
	live := s.consume(t, window(1))
	m := live.next()
	m.Metadata.Set(transport.KeyError, "a reason\nof two lines")
	require.NoError(s, t.DeadLetter(s.Context(), m))
	m.Ack()
	s.settles(t, transport.Backlog{Dead: 1})
	require.Equal(s, transport.Backlog{Ready: 1}, s.backlog(t, "leaderboard"), "the other handler's message is its own")

	dead := window(10)
	dead.Dead = true
	c := s.consume(t, dead)
	letter := c.next()
	require.Equal(s, "dead", letter.UUID)
	require.Equal(s, payload, []byte(letter.Payload))
	require.Equal(s, message.Metadata{transport.KeyError: "a reason\nof two lines"}, letter.Metadata)
	require.Equal(s, transport.Backlog{Dead: 1}, s.backlog(t), "it is there until it is acknowledged")

	// One that comes while the consumer idles; and publishing to the handlers
	// does not reach the dead queue.
	letter.Ack()
	s.settles(t, transport.Backlog{})
	s.publish(t, topic, 1)
	m = live.next()
	require.NoError(s, t.DeadLetter(s.Context(), m))
	m.Ack()
	letter = c.next()
	require.Equal(s, m.UUID, letter.UUID)
	letter.Ack()
	s.settles(t, transport.Backlog{})
}

func deadLetterRestart(s *stage) {
	t := s.open(Settings{})
	want := s.publish(t, topic, 1)
	m := s.consume(t, window(1)).next()
	require.NoError(s, t.DeadLetter(s.Context(), m))
	m.Ack()
	s.settles(t, transport.Backlog{Dead: 1})
	require.NoError(s, t.Close())
	s.Restart(s.T)

	t = s.open(Settings{})
	dead := window(1)
	dead.Dead = true
	m = s.consume(t, dead).next()
	require.Equal(s, want[0], m.UUID)
	m.Ack()
	s.settles(t, transport.Backlog{})
}
