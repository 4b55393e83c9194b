package transporttest

import (
	"context"
	"sync"
	"time"

	"github.com/ThreeDotsLabs/watermill/message"
	"github.com/stretchr/testify/require"

	"github.com/answerfeed/answerfeed/internal/transport"
)

func closing() []row {
	return []row{
		{"closing lets what is in flight finish within the grace", false, drain},
		{"closing gives back what overstays, at once", false, overstay},
		{"closing gives back what nobody took", false, untaken},
		{"a consumer closes twice and concurrently", false, closeOften},
		{"a transport closes twice and concurrently", false, closeTransport},
		{"the end of a subscription's context is like closing", false, contextEnds},
		{"nothing goes on after closing", false, afterClose},
		{"publishing ends with its context", false, publishContext},
	}
}

func drain(s *stage) {
	t := s.open(Settings{Lease: long, NackPause: long})
	c := window(3)
	c.Grace = long
	s.publish(t, topic, 3)
	closing := s.consume(t, c)
	held := closing.take(3)
	closed := make(chan struct{})
	go func() { defer close(closed); closing.sub.Close() }() //nolint:errcheck // never fails

	// Intake has stopped: though a place is free, what comes now goes to
	// another.
	held[0].Ack()
	late := s.publish(t, topic, 5)
	other := s.consume(s.open(Settings{}), window(10))
	select {
	case <-closed:
		require.Fail(s, "closed before what was in flight had finished")
	case <-time.After(watch):
	}
	for _, m := range held[1:] {
		require.NoError(s, m.Context().Err())
		m.Ack()
	}
	s.wait(closed, "the consumer is closed")
	got := other.take(5 - s.leaked(closing, late))
	ack(got...)
	s.settles(t, transport.Backlog{})
}

// leaked acknowledges what came between the call of Close and its effect.
func (s *stage) leaked(c consumption, late []string) (n int) {
	for m := range c.ch {
		require.Contains(s, late, m.UUID)
		m.Ack()
		n++
	}
	return n
}

func overstay(s *stage) {
	t := s.open(Settings{Lease: long, NackPause: long})
	c := window(2)
	c.Grace = watch
	want := s.publish(t, topic, 2)
	closing := s.consume(t, c)
	held := closing.take(2)
	held[0].Ack()
	began := time.Now()
	require.NoError(s, closing.sub.Close())
	require.GreaterOrEqual(s, time.Since(began), watch, "it had its grace")
	closing.ended()
	s.wait(held[1].Context().Done(), "the context of what overstays is cancelled")

	m := s.consume(t, window(2)).next()
	require.Equal(s, held[1].UUID, m.UUID)
	require.Contains(s, want, m.UUID)
	require.Zero(s, transport.Count(m, transport.KeyRedeliveries))
	// A handler that ignored its context changes nothing any more.
	held[1].Ack()
	require.Error(s, t.Redeliver(s.Context(), held[1], 0))
	require.Equal(s, transport.Backlog{InFlight: 1}, s.backlog(t))
	m.Ack()
	s.settles(t, transport.Backlog{})
}

func untaken(s *stage) {
	t := s.open(Settings{Lease: long, NackPause: long})
	want := s.publish(t, topic, 20)
	closing := s.consume(t, window(10))
	closing.next().Nack()
	require.NoError(s, closing.sub.Close())
	closing.ended()
	waiting := s.consume(s.open(Settings{}), window(20))
	at := 19
	left := transport.Backlog{Delayed: 1}
	if s.Holds {
		at, left = 20, transport.Backlog{}
	}
	got := waiting.take(at)
	require.Subset(s, want, ids(got))
	ack(got...)
	s.settles(t, left)
}

func closeOften(s *stage) {
	t := s.open(Settings{NackPause: long})
	s.publish(t, topic, 10)
	c := s.consume(t, window(10))
	c.take(5)
	var all sync.WaitGroup
	for range 5 {
		all.Go(func() { c.sub.Close() }) //nolint:errcheck // never fails
	}
	all.Wait()
	require.NoError(s, c.sub.Close())
	c.ended()
	_, err := c.sub.Subscribe(s.Context(), topic)
	require.ErrorIs(s, err, transport.ErrClosed)
	s.settles(t, transport.Backlog{Ready: 10})
}

func closeTransport(s *stage) {
	t := s.open(Settings{})
	other := s.open(Settings{})
	s.publish(t, topic, 10)
	c := s.consume(t, window(10))
	c.take(5)
	var all sync.WaitGroup
	for range 3 {
		all.Go(func() { t.Close() })     //nolint:errcheck // below
		all.Go(func() { c.sub.Close() }) //nolint:errcheck // never fails
		all.Go(func() {
			// Either it is in time or it is refused.
			if err := t.Publisher().Publish(topic, message.NewMessage("x", nil)); err != nil {
				require.ErrorIs(s, err, transport.ErrClosed)
			}
		})
	}
	all.Wait()
	require.NoError(s, t.Close())
	c.ended()
	require.True(s, s.until(func() bool { return s.backlog(other).Ready >= 10 }), "what nobody had begun waits for others")
}

func contextEnds(s *stage) {
	t := s.open(Settings{Lease: long, NackPause: long})
	c := window(2)
	c.Grace = long
	type key struct{}
	ctx, cancel := context.WithCancel(context.WithValue(context.Background(), key{}, "kept"))
	defer cancel()
	s.publish(t, topic, 1)
	ending := s.consumeIn(ctx, t, c)
	m := ending.next()
	require.Equal(s, "kept", m.Context().Value(key{}))
	cancel()
	select {
	case <-ending.ch:
		require.Fail(s, "the channel was closed before what was in flight had finished")
	case <-m.Context().Done():
		require.Fail(s, "what is in flight may finish")
	case <-time.After(watch):
	}
	m.Ack()
	ending.ended()
	s.settles(t, transport.Backlog{})

	// The subscriber itself is not closed.
	want := s.publish(t, topic, 1)
	ch, err := ending.sub.Subscribe(s.Context(), topic)
	require.NoError(s, err)
	m = consumption{s, ending.sub, ch}.next()
	require.Equal(s, want[0], m.UUID)
	m.Ack()
	require.NoError(s, ending.sub.Close())
	s.settles(t, transport.Backlog{})
	ended, cancel := context.WithCancel(s.Context())
	cancel()
	sub, err := t.Subscriber(window(1))
	require.NoError(s, err)
	ch, err = sub.Subscribe(ended, topic)
	if err == nil { // then it ends at once
		consumption{s, sub, ch}.ended()
	}
}

func afterClose(s *stage) {
	t := s.open(Settings{})
	sub, err := t.Subscriber(window(1))
	require.NoError(s, err)
	require.NoError(s, t.Publisher().Close(), "which does nothing")
	s.publish(t, topic, 1)
	require.NoError(s, t.Close())
	require.ErrorIs(s, t.Publisher().Publish(topic, message.NewMessage("x", nil)), transport.ErrClosed)
	_, err = sub.Subscribe(s.Context(), topic)
	require.ErrorIs(s, err, transport.ErrClosed)
	require.NoError(s, sub.Close())
	require.Equal(s, transport.Backlog{Ready: 1}, s.backlog(s.open(Settings{})))
}

func publishContext(s *stage) {
	t := s.open(Settings{})
	ended, cancel := context.WithCancel(s.Context())
	cancel()
	returned := make(chan struct{})
	go func() {
		defer close(returned)
		for range 20 {
			m := message.NewMessage("x", nil)
			m.SetContext(ended)
			t.Publisher().Publish(topic, m) //nolint:errcheck // it may be in time, or not
		}
	}()
	s.wait(returned, "publishing ended")
	s.publish(t, topic, 1)
}
