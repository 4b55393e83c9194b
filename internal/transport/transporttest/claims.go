package transporttest

import (
	"time"

	"github.com/ThreeDotsLabs/watermill/message"
	"github.com/stretchr/testify/require"

	"github.com/answerfeed/answerfeed/internal/transport"
)

func claims() []row {
	return []row{
		{"a late acknowledgement has no effect on a new claim", false, lateAck},
		{"a late nack has no effect on a new claim", false, lateNack},
		{"a late redelivery or dead letter is refused", false, lateMove},
		{"a claim lasts as long as the handler works", false, longWork},
		{"at-most-once takes a message before it is handled", false, atMostOnce},
		{"at-most-once and at-least-once refuse each other's moves", false, foreignMoves},
	}
}

// lose lets a consumer receive a message, ends its claim, and lets another
// consumer receive it. Where claims have no lease, none is ever late, and ok
// is false.
func (s *stage) lose() (t transport.Transport, late, current *message.Message, winner consumption, ok bool) {
	s.Helper()
	if s.ExpireClaims == nil {
		return nil, nil, nil, consumption{}, false
	}
	settings := Settings{Lease: long, NackPause: long}
	t = s.open(settings)
	want := s.publish(t, topic, 1)
	late = s.consume(t, window(1)).next() // full: it takes no second
	winner = s.consume(s.open(settings), window(10))
	s.ExpireClaims(s.T)
	current = winner.next()
	require.Equal(s, want[0], late.UUID)
	require.Equal(s, want[0], current.UUID)
	return t, late, current, winner, true
}

// keeps shows that the new claim stands: after the loser's settlement was
// done, the message is in flight until its owner acknowledges it.
func (s *stage) keeps(t transport.Transport, current *message.Message) {
	s.Helper()
	require.NoError(s, t.Close()) // which writes what was settled
	t = s.open(Settings{})
	require.Equal(s, transport.Backlog{InFlight: 1}, s.backlog(t))
	current.Ack()
	s.settles(t, transport.Backlog{})
}

func lateAck(s *stage) {
	if t, late, current, _, ok := s.lose(); ok {
		late.Ack()
		s.keeps(t, current)
	}
}

func lateNack(s *stage) {
	if t, late, current, _, ok := s.lose(); ok {
		late.Nack()
		s.keeps(t, current)
	}
}

func lateMove(s *stage) {
	t, late, current, winner, ok := s.lose()
	if !ok {
		return
	}
	require.ErrorIs(s, t.Redeliver(s.Context(), late, 0), transport.ErrClaimLost)
	require.ErrorIs(s, t.DeadLetter(s.Context(), late), transport.ErrClaimLost)
	late.Ack()
	winner.none()
	s.keeps(t, current)
}

func longWork(s *stage) {
	const lease = 1500 * time.Millisecond
	t := s.open(Settings{Lease: lease, NackPause: long})
	want := s.publish(t, topic, 3)
	slow := s.consume(t, window(3))
	held := slow.take(3)
	rival := s.consume(s.open(Settings{Lease: lease}), window(10))
	// Three leases long, the rival gets nothing.
	over := time.NewTimer(3 * lease)
	defer over.Stop()
	select {
	case m := <-rival.ch:
		require.Fail(s, "a message that is worked on came to another", m.UUID)
	case <-over.C:
	}
	require.Equal(s, transport.Backlog{InFlight: 3}, s.backlog(t))
	require.ElementsMatch(s, want, ids(held))
	for _, m := range held {
		require.NoError(s, m.Context().Err())
		m.Ack()
	}
	s.settles(t, transport.Backlog{})
}

func atMostOnce(s *stage) {
	t := s.open(Settings{Lease: 50 * time.Millisecond, NackPause: time.Millisecond})
	want := s.publish(t, topic, 4)
	c := window(3)
	c.AtMostOnce = true
	taken := s.consume(t, c)
	held := taken.take(3)
	if !s.Holds { // else it was sent ahead
		require.Equal(s, transport.Backlog{Ready: 1}, s.backlog(t), "what is handled is off the queue")
	}
	taken.none() // the window holds
	held[0].Nack()
	held = append(held, taken.next())
	held[1].Ack()
	require.ElementsMatch(s, want, ids(held))
	for _, m := range held {
		d, ok := transport.DeliveryOf(m)
		require.True(s, ok)
		require.Zero(s, d.Returns)
	}
	s.settles(t, transport.Backlog{})
	require.NoError(s, taken.sub.Close()) // with two in flight
	require.Zero(s, s.backlog(t))
	s.consume(t, window(10)).none()
}

func foreignMoves(s *stage) {
	t := s.open(Settings{})
	s.publish(t, topic, 1)
	c := window(1)
	c.AtMostOnce = true
	m := s.consume(t, c).next()
	require.Error(s, t.Redeliver(s.Context(), m, 0), "it is off the queue already")
	require.Error(s, t.DeadLetter(s.Context(), m))
	m.Ack()
	own := message.NewMessage("own", nil)
	require.Error(s, t.Redeliver(s.Context(), own, 0), "no transport delivered it")
	require.Error(s, t.DeadLetter(s.Context(), own))
	require.Zero(s, s.backlog(t))
}
