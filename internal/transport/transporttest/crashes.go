package transporttest

import (
	"fmt"
	"sync"
	"time"

	"github.com/ThreeDotsLabs/watermill"
	"github.com/ThreeDotsLabs/watermill/message"
	"github.com/stretchr/testify/require"

	"github.com/answerfeed/answerfeed/internal/transport"
)

// lease is that of workers that are killed.
const lease = 2 * time.Second

func crashes() []row {
	return []row{
		{"what was confirmed is there after kill -9 of the broker", true, confirmed},
		{"what a killed worker had in flight comes to another", false, killedWorker},
		{"at-most-once, a killed worker's messages do not come again", false, killedAtMostOnce},
	}
}

func confirmed(s *stage) {
	const enough = 300
	t := s.open(Settings{})
	var sure []string
	if s.Kill == nil {
		require.NoError(s, t.Close())
		p := s.spawn(part{Role: publishes})
		sure = p.lines(enough)
		sure = append(sure, p.kill()...)
	} else {
		sure = s.publishUntilKilled(t, enough)
	}
	require.GreaterOrEqual(s, len(sure), enough)

	t = s.open(Settings{})
	c := s.consume(t, window(100))
	missing := map[string]bool{}
	for _, id := range sure {
		missing[id] = true
	}
	for len(missing) > 0 {
		m := c.next()
		require.Equal(s, body(m.UUID), string(m.Payload))
		delete(missing, m.UUID)
		m.Ack()
	}
}

// body is the payload by which a message is known to be whole.
func body(id string) string { return fmt.Sprintf(`{"id":%q}`, id) }

func (s *stage) publishUntilKilled(t transport.Transport, enough int) (sure []string) {
	s.Helper()
	var all sync.WaitGroup
	var mu sync.Mutex
	reached, killed := make(chan struct{}), make(chan struct{})
	for range publishers {
		all.Go(func() {
			for {
				id := watermill.NewUUID()
				err := t.Publisher().Publish(topic, message.NewMessage(id, []byte(body(id))))
				mu.Lock()
				if err == nil {
					if sure = append(sure, id); len(sure) == enough {
						close(reached)
					}
				}
				mu.Unlock()
				select {
				case <-killed:
					return
				default:
				}
			}
		})
	}
	s.wait(reached, "enough was confirmed")
	s.Kill(s.T)
	close(killed)
	require.NoError(s, t.Close())
	all.Wait()
	return sure
}

func killedWorker(s *stage) {
	t := s.open(Settings{})
	want := s.publish(t, topic, 30)
	p := s.spawn(part{Role: takes, Window: 20, Settings: Settings{Lease: lease}})
	had := p.lines(20)
	require.Subset(s, want, had)
	p.kill()
	c := s.consume(t, window(30))
	got := c.take(30)
	require.ElementsMatch(s, want, ids(got))
	for _, m := range got {
		require.NotEmpty(s, m.Payload)
	}
	ack(got...)
	s.settles(t, transport.Backlog{})
}

func killedAtMostOnce(s *stage) {
	t := s.open(Settings{})
	want := s.publish(t, topic, 30)
	p := s.spawn(part{Role: takes, AtMostOnce: true, Window: 20, Settings: Settings{Lease: lease}})
	had := p.lines(20)
	p.kill()
	c := s.consume(t, window(30))
	got := c.take(10)
	require.ElementsMatch(s, want, append(ids(got), had...), "each came once")
	ack(got...)
	s.settles(t, transport.Backlog{})
}
