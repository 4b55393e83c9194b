package transporttest

import (
	"sync"
	"sync/atomic"

	"github.com/ThreeDotsLabs/watermill"
	"github.com/ThreeDotsLabs/watermill/message"
	"github.com/stretchr/testify/require"

	"github.com/answerfeed/answerfeed/internal/transport"
)

func delivery() []row {
	return []row{
		{"one publish reaches every handler", false, fanOut},
		{"a publish to one handler's queue reaches it alone", false, oneQueue},
		{"competing consumers share without overlap", false, competing},
		{"the window is never exceeded in messages", false, windowMessages},
		{"the window is never exceeded in bytes", false, windowBytes},
		{"acknowledgements come in any order, beside a slow message", false, anyOrder},
	}
}

func fanOut(s *stage) {
	handlers := []string{"feed", "leaderboard", "mail"}
	other := transport.Subscription{Topic: "question-added", Handler: "feed"}
	t := s.open(Settings{}, subscription(handlers[0]), subscription(handlers[1]), subscription(handlers[2]), other)
	want := s.publish(t, topic, 5)
	for _, h := range handlers {
		c := s.consume(t, transport.Consumer{Subscription: subscription(h), Window: 10})
		got := c.take(5)
		require.ElementsMatch(s, want, ids(got))
		ack(got...)
		s.settles(t, transport.Backlog{}, h)
	}
	all, err := t.Backlog(s.Context())
	require.NoError(s, err)
	require.Len(s, all, 4)
	require.Contains(s, all, transport.Backlog{Topic: other.Topic, Handler: other.Handler}, "another topic's queue got nothing")
}

func oneQueue(s *stage) {
	t := s.open(Settings{}, subscription(), subscription("leaderboard"))
	want := s.publish(t, subscription().Queue(), 3)
	c := s.consume(t, window(10))
	got := c.take(3)
	require.ElementsMatch(s, want, ids(got))
	ack(got...)
	s.settles(t, transport.Backlog{})
	require.Zero(s, s.backlog(t, "leaderboard"))
}

func competing(s *stage) {
	const n = 1000
	transports := []transport.Transport{s.open(Settings{}), s.open(Settings{})}
	var (
		all, each sync.WaitGroup
		left      atomic.Int64
		mu        sync.Mutex
		times     = map[string]int{}
	)
	left.Store(n)
	drained := make(chan struct{})
	for i := range 4 {
		c := s.consume(transports[i%2], window(10))
		each.Add(1)
		all.Go(func() {
			first := true
			for {
				select {
				case m := <-c.ch:
					if first { // each has one before any goes on
						first = false
						each.Done()
						each.Wait()
					}
					mu.Lock()
					times[m.UUID]++
					mu.Unlock()
					m.Ack()
					if left.Add(-1) == 0 {
						close(drained)
					}
				case <-drained:
					return
				}
			}
		})
	}
	want := s.publish(transports[0], topic, n)
	s.wait(drained, "every message was handled")
	all.Wait()
	s.settles(transports[1], transport.Backlog{})
	for _, id := range want {
		require.Equal(s, 1, times[id])
	}
}

func windowMessages(s *stage) {
	const n, size = 40, 7
	t := s.open(Settings{})
	want := s.publish(t, topic, n)
	c := s.consume(t, window(size))
	held := c.take(size)
	got := held
	c.none()
	require.Equal(s, transport.Backlog{Ready: n - size, InFlight: size}, s.backlog(t))
	for free := 3; len(got) < n; {
		free = min(free, n-len(got))
		ack(held[:free]...)
		more := c.take(free)
		held, got = append(held[free:], more...), append(got, more...)
		c.none()
	}
	require.ElementsMatch(s, want, ids(got))
	ack(held...)
	s.settles(t, transport.Backlog{})
}

func windowBytes(s *stage) {
	// Odd sizes, so that the limit falls within a message.
	const size, fit, n = 3<<20 + 1, 21, 24
	t := s.open(Settings{})
	for range n {
		m := message.NewMessage(watermill.NewUUID(), make([]byte, size))
		require.NoError(s, t.Publisher().Publish(topic, m))
	}
	c := s.consume(t, window(1000))
	held := c.take(fit)
	c.none()
	require.LessOrEqual(s, fit*size, 64<<20)
	for range n - fit {
		held[0].Ack()
		held = append(held[1:], c.next())
		c.none()
	}
	ack(held...)
	s.settles(t, transport.Backlog{})
}

func anyOrder(s *stage) {
	const size = 10
	t := s.open(Settings{})
	s.publish(t, topic, size)
	c := s.consume(t, window(size))
	held := c.take(size)
	slow := held[0]
	for i := size - 1; i > 0; i-- {
		held[i].Ack()
	}
	s.settles(t, transport.Backlog{InFlight: 1})
	more := s.publish(t, topic, 50)
	var passed []string
	for range more {
		m := c.next()
		passed = append(passed, m.UUID)
		m.Ack()
	}
	require.ElementsMatch(s, more, passed)
	s.settles(t, transport.Backlog{InFlight: 1})
	require.NoError(s, slow.Context().Err())
	slow.Ack()
	s.settles(t, transport.Backlog{})
}
