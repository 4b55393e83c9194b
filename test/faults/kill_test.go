package faults

import (
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/ThreeDotsLabs/watermill/message"
	"github.com/stretchr/testify/require"

	"github.com/answerfeed/answerfeed/app"
	"github.com/answerfeed/answerfeed/internal/producer"
)

const kills = 20

// Nothing is lost and no counter is off when the worker dies in the middle.
func TestKill9_WhileDraining(t *testing.T) {
	onEach(t, func(t *testing.T, p place) {
		l := newLedger(t, 1, 20_000)
		client := p.open(t)
		half := len(l.events) / 2
		rest := len(l.events) - half
		l.publish(t, client, 0, half)
		interrupted := 0
		for i := range kills {
			w := p.start(t)
			l.publish(t, client, half+i*rest/kills, half+(i+1)*rest/kills)
			atSomeMoment(i)
			w.kill()
			if waiting(t, client) > 0 {
				interrupted++
			}
		}
		require.Greater(t, interrupted, kills/2, "most kills came when nothing was left to do: they proved nothing")
		w := p.start(t)
		w.drained(t)
		l.check(t, w)
	})
}

// A worker that dies with a full window loses nothing of it, however often,
// and no message in it is suspected of the deaths.
func TestKill9_FullWindow(t *testing.T) {
	const window, kills = 1000, 25
	onEach(t, func(t *testing.T, p place) {
		pausing := func(pause string) {
			p.config(t, fmt.Sprintf("handlers:\n  counter:\n    concurrency: %d\n    options: {pause: %s}\n", window, pause))
		}
		pausing("5s") // none is finished before the kill
		client := p.open(t, counter(nil))
		published := 0
		for i := range kills {
			// What the last one held may still be claimed by the dead.
			if ready, _ := backlog(t, client); ready < window {
				require.NoError(t, client.Publisher().Publish(topicCounted, counted(published, window)...))
				published += window
			}
			w := p.startProgram(t, "counter")
			require.Eventually(t, func() bool { return w.inFlight(t, "counter") == window }, within, time.Millisecond, "the window is never full")
			atSomeMoment(i)
			w.kill()
		}
		t.Logf("%d messages, of which %d were in flight at each of %d kills", published, window, kills)
		pausing("0s")
		w := p.startProgram(t, "counter")
		w.drained(t)
		w.noLetters(t)
		requireHandled(t, p, published)
	})
}

// A worker that is told to stop under load ends soon, loses nothing, and makes
// no letter of what it interrupted.
func TestSIGTERM_UnderLoad(t *testing.T) {
	onEach(t, func(t *testing.T, p place) {
		l := newLedger(t, 2, 20_000)
		client := p.open(t)
		interrupted, longest := 0, time.Duration(0)
		for i := range kills {
			w := p.start(t)
			first, last := i*len(l.events)/kills, (i+1)*len(l.events)/kills
			l.publish(t, client, first, (first+last)/2)
			// The producer goes on while the worker stops.
			var producer sync.WaitGroup
			producer.Go(func() { l.publish(t, client, (first+last)/2, last) })
			atSomeMoment(i)
			longest = max(longest, w.terminated(t))
			producer.Wait()
			if waiting(t, client) > 0 {
				interrupted++
			}
		}
		t.Logf("the longest of %d stops took %v", kills, longest)
		require.Greater(t, interrupted, kills/2, "most stops came when nothing was left to do: they proved nothing")
		w := p.start(t)
		w.drained(t)
		l.check(t, w)
	})
}

// At most once: no effect comes twice, and each kill loses a window at most.
func TestKill9_AtMostOnce(t *testing.T) {
	const window, n = 100, 20_000
	onEach(t, func(t *testing.T, p place) {
		p.config(t, fmt.Sprintf("handlers:\n  counter:\n    delivery: at-most-once\n    concurrency: %d\n", window))
		client := p.open(t, counter(nil))
		msgs := counted(0, n)
		interrupted := 0
		for i := range kills {
			w := p.startProgram(t, "counter")
			require.NoError(t, client.Publisher().Publish(topicCounted, msgs[i*n/kills:(i+1)*n/kills]...))
			atSomeMoment(i)
			w.kill()
			if waiting(t, client) > 0 {
				interrupted++
			}
		}
		require.Greater(t, interrupted, kills/2, "most kills came when nothing was left to do: they proved nothing")
		w := p.startProgram(t, "counter")
		w.drained(t)
		w.terminated(t)

		seen := map[string]bool{}
		for _, id := range effectsIn(t, p.dir) {
			require.False(t, seen[id], "the effect of %s came twice", id)
			seen[id] = true
		}
		lost := n - len(seen)
		t.Logf("%d kills lost %d of %d messages", kills, lost, n)
		require.LessOrEqual(t, lost, kills*window)
	})
}

// atSomeMoment waits up to 50 ms, the same at each run of the test.
func atSomeMoment(i int) {
	<-time.After(time.Duration(rand.New(rand.NewPCG(uint64(i), 0)).IntN(50)) * time.Millisecond)
}

// waiting counts the messages that are not handled.
func waiting(t testing.TB, client *app.Client) int64 {
	t.Helper()
	ready, claimed := backlog(t, client)
	return ready + claimed
}

// backlog counts the messages that can be delivered now, and those that will
// be later if nobody settles them.
func backlog(t testing.TB, client *app.Client) (ready, later int64) {
	t.Helper()
	all, err := client.Backlog(t.Context())
	require.NoError(t, err)
	for _, b := range all {
		ready += b.Ready
		later += b.InFlight + b.Delayed
	}
	return ready, later
}

// counted are n messages for the counter, from number first on.
func counted(first, n int) []*message.Message {
	msgs := make([]*message.Message, 0, n)
	for i := first; i < first+n; i++ {
		id := fmt.Sprintf("e%05d", i)
		msgs = append(msgs, producer.NewMessage(id, fmt.Appendf(nil, `{"event_id":%q}`, id), nil))
	}
	return msgs
}

// requireHandled requires each of n counted messages to have been handled, once
// or more often.
func requireHandled(t testing.TB, p place, n int) {
	t.Helper()
	seen := map[string]bool{}
	for _, id := range effectsIn(t, p.dir) {
		seen[id] = true
	}
	require.Equal(t, n, len(seen), "messages handled") //nolint:testifylint // Len would print them all
}

// effectsIn reads what the counter wrote.
func effectsIn(t testing.TB, dir string) []string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(dir, effects))
	require.NoError(t, err)
	return strings.Fields(string(text))
}
