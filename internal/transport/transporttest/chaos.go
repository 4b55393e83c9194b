package transporttest

import (
	"errors"
	"math/rand/v2"
	"sync"
	"time"

	"github.com/ThreeDotsLabs/watermill/message"
	"github.com/stretchr/testify/require"

	"github.com/answerfeed/answerfeed/internal/transport"
)

func chaotic() []row {
	return []row{{"whatever happens to it, no message is lost", false, chaos}}
}

// chaos lets workers come and go that acknowledge, nack, redeliver, dead-letter
// and forget at random, while claims end at random. Every message must be
// acknowledged or in the dead queue at last.
func chaos(s *stage) {
	const n, workers = 200, 4
	seed := uint64(time.Now().UnixNano())
	s.Logf("seed %d", seed)
	settings := Settings{NackPause: 5 * time.Millisecond}
	transports := []transport.Transport{s.open(settings), s.open(settings)}
	var (
		mu    sync.Mutex
		done  int
		acked = map[string]bool{}
		dead  = map[string]bool{}
		final = make(chan struct{})
		all   sync.WaitGroup
	)
	end := sync.OnceFunc(func() { close(final) })
	note := func(outcomes map[string]bool, id string) {
		mu.Lock()
		defer mu.Unlock()
		if !acked[id] && !dead[id] {
			if done++; done == n {
				end()
			}
		}
		outcomes[id] = true
	}
	for i := range workers {
		source := rand.New(rand.NewPCG(seed, uint64(i)))
		all.Go(func() {
			for open := true; open; {
				t := transports[source.IntN(len(transports))]
				c := s.consume(t, window(1+source.IntN(40)))
				open = s.misbehave(t, c, source, final, func(id string) { note(acked, id) }, func(id string) { note(dead, id) })
				require.NoError(s, c.sub.Close())
			}
		})
	}
	want := s.publish(transports[0], topic, n)
	select {
	case <-final:
	case <-time.After(patience):
	}
	end()
	all.Wait()
	require.Equal(s, n, done, "messages that are acknowledged or dead")

	// What the last workers forgot, or was in flight twice, is still there.
	rest := s.consume(transports[0], window(100))
	require.True(s, s.until(func() bool {
		select {
		case m := <-rest.ch:
			m.Ack()
		default:
		}
		b := s.backlog(transports[0])
		return b.Ready+b.InFlight+b.Delayed == 0
	}))
	letters := window(n)
	letters.Dead = true
	reader := s.consume(transports[0], letters)
	found := map[string]bool{}
	for range s.backlog(transports[0]).Dead {
		m := reader.next()
		found[m.UUID] = true
		m.Ack()
	}
	for _, id := range want {
		require.True(s, acked[id] || found[id], "message %s is lost", id)
	}
	s.settles(transports[0], transport.Backlog{})
}

// misbehave handles some messages, each in its own manner, and says whether
// there is more to do.
func (s *stage) misbehave(t transport.Transport, c consumption, source *rand.Rand, final <-chan struct{}, acked, dead func(id string)) bool {
	moved := func(m *message.Message, err error) bool {
		if err != nil && !errors.Is(err, transport.ErrClaimLost) {
			require.NoError(s, err)
		}
		m.Ack()
		return err == nil
	}
	for range 20 + source.IntN(100) {
		var m *message.Message
		select {
		case m = <-c.ch:
		case <-time.After(100 * time.Millisecond): // others may hold the rest
			return true
		case <-final:
			return false
		}
		switch choice := source.IntN(100); {
		case choice < 30:
			m.Ack()
			acked(m.UUID)
		case choice < 50:
			m.Nack()
		case choice < 70:
			moved(m, t.Redeliver(s.Context(), m, delay*time.Duration(source.IntN(2))/50))
		case choice < 75:
			if moved(m, t.DeadLetter(s.Context(), m)) {
				dead(m.UUID)
			}
		case choice < 80 && s.ExpireClaims != nil:
			s.ExpireClaims(s.T)
			m.Ack()
			acked(m.UUID)
		default: // forgotten, until the subscriber closes
		}
	}
	return true
}
