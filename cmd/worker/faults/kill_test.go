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
	"github.com/answerfeed/answerfeed/app/producer"
)

const kills = 20

// Nothing is lost and no counter is off when the worker dies in the middle.
func TestKill9_WhileDraining(t *testing.T) {
	dir := t.TempDir()
	l := newLedger(t, 1, 20_000)
	client := open(t, dir)
	half := len(l.events) / 2
	rest := len(l.events) - half
	l.publish(t, client, 0, half)
	interrupted := 0
	for i := range kills {
		w := start(t, dir)
		l.publish(t, client, half+i*rest/kills, half+(i+1)*rest/kills)
		atSomeMoment(i)
		w.kill()
		if waiting(t, client) > 0 {
			interrupted++
		}
	}
	require.Greater(t, interrupted, kills/2, "most kills came when nothing was left to do: they proved nothing")
	w := start(t, dir)
	w.drained(t)
	l.check(t, w)
	require.NoError(t, client.Close())
}

// A worker that is told to stop under load ends soon, loses nothing, and makes
// no letter of what it interrupted.
func TestSIGTERM_UnderLoad(t *testing.T) {
	dir := t.TempDir()
	l := newLedger(t, 2, 20_000)
	client := open(t, dir)
	interrupted := 0
	for i := range kills {
		w := start(t, dir)
		first, last := i*len(l.events)/kills, (i+1)*len(l.events)/kills
		l.publish(t, client, first, (first+last)/2)
		// The producer goes on while the worker stops.
		var producer sync.WaitGroup
		producer.Go(func() { l.publish(t, client, (first+last)/2, last) })
		atSomeMoment(i)
		took, err := w.terminate(t)
		require.NoError(t, err, "exit status 0")
		require.Less(t, took, 10*time.Second)
		producer.Wait()
		if waiting(t, client) > 0 {
			interrupted++
		}
	}
	require.Greater(t, interrupted, kills/2, "most stops came when nothing was left to do: they proved nothing")
	w := start(t, dir)
	w.drained(t)
	l.check(t, w)
	require.NoError(t, client.Close())
}

// At most once: no effect comes twice, and each kill loses a window at most.
func TestKill9_AtMostOnce(t *testing.T) {
	const window, n = 100, 20_000
	dir := t.TempDir()
	require.NoError(t, os.WriteFile(filepath.Join(dir, "worker.yaml"), fmt.Appendf(nil,
		"handlers:\n  counter:\n    delivery: at-most-once\n    concurrency: %d\n", window), 0o600))
	client := open(t, dir, counter(nil))
	msgs := counted(n)
	interrupted := 0
	for i := range kills {
		w := startProgram(t, dir)
		require.NoError(t, client.Publisher().Publish(topicCounted, msgs[i*n/kills:(i+1)*n/kills]...))
		atSomeMoment(i)
		w.kill()
		if waiting(t, client) > 0 {
			interrupted++
		}
	}
	require.Greater(t, interrupted, kills/2, "most kills came when nothing was left to do: they proved nothing")
	w := startProgram(t, dir)
	w.drained(t)
	_, err := w.terminate(t)
	require.NoError(t, err)
	require.NoError(t, client.Close())

	seen := map[string]bool{}
	for _, id := range effectsIn(t, dir) {
		require.False(t, seen[id], "the effect of %s came twice", id)
		seen[id] = true
	}
	lost := n - len(seen)
	t.Logf("%d kills lost %d of %d messages", kills, lost, n)
	require.LessOrEqual(t, lost, kills*window)
}

// atSomeMoment waits up to 50 ms, the same at each run of the test.
func atSomeMoment(i int) {
	<-time.After(time.Duration(rand.New(rand.NewPCG(uint64(i), 0)).IntN(50)) * time.Millisecond)
}

// waiting counts the messages that are not handled.
func waiting(t testing.TB, client *app.Client) (n int64) {
	t.Helper()
	all, err := client.Backlog(t.Context())
	require.NoError(t, err)
	for _, b := range all {
		n += b.Ready + b.InFlight + b.Delayed
	}
	return n
}

// counted are n messages for the counter.
func counted(n int) []*message.Message {
	msgs := make([]*message.Message, 0, n)
	for i := range n {
		id := fmt.Sprintf("e%05d", i)
		msgs = append(msgs, producer.NewMessage(id, fmt.Appendf(nil, `{"event_id":%q}`, id), nil))
	}
	return msgs
}

// effectsIn reads what the counter wrote.
func effectsIn(t testing.TB, dir string) []string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(dir, effects))
	require.NoError(t, err)
	return strings.Fields(string(text))
}
