package faults

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/ThreeDotsLabs/watermill/message"
	"github.com/stretchr/testify/require"

	"github.com/answerfeed/answerfeed/app/producer"
)

const kills = 20

// Nothing is lost and no counter is off when the worker dies in the middle.
func TestKill9_WhileDraining(t *testing.T) {
	dir := t.TempDir()
	l := newLedger(t, 1, 20_000)
	run(t, dir, l.ndjson(), "publish", "-")

	for range kills {
		w := start(t, dir)
		before := w.left(t)
		require.Eventually(t, func() bool { return before-w.left(t) > 200 }, within, time.Millisecond)
		w.kill()
	}
	w := start(t, dir)
	require.NotZero(t, w.left(t), "the last kill came after all was drained: it proved nothing")
	w.drained(t)
	l.check(t, w)
}

// A worker that is told to stop under load ends soon, loses nothing, and makes
// no letter of what it interrupted.
func TestSIGTERM_UnderLoad(t *testing.T) {
	dir := t.TempDir()
	l := newLedger(t, 2, 20_000)
	lines := bytes.SplitAfter(l.ndjson(), []byte("\n"))
	interrupted := 0
	for i := range kills {
		w := start(t, dir)
		part := lines[i*len(lines)/kills : (i+1)*len(lines)/kills]
		run(t, dir, bytes.Join(part[:len(part)/2], nil), "publish", "-")
		// The producer goes on while the worker stops.
		publish := exec.Command(binary, "publish", "-")
		publish.Dir, publish.Stdin = dir, bytes.NewReader(bytes.Join(part[len(part)/2:], nil))
		require.NoError(t, publish.Start())
		took, err := w.terminate(t)
		require.NoError(t, err, "exit status 0")
		require.Less(t, took, 10*time.Second)
		require.NoError(t, publish.Wait())
		if left(t, dir) > 0 {
			interrupted++
		}
	}
	require.NotZero(t, interrupted, "no stop came while messages were left: it proved nothing")
	w := start(t, dir)
	w.drained(t)
	l.check(t, w)
}

// At most once: no effect comes twice, and each kill loses a window at most.
func TestKill9_AtMostOnce(t *testing.T) {
	const window, n = 100, 20_000
	dir := t.TempDir()
	require.NoError(t, os.WriteFile(filepath.Join(dir, "worker.yaml"), fmt.Appendf(nil,
		"handlers:\n  counter:\n    delivery: at-most-once\n    concurrency: %d\n", window), 0o600))
	client := open(t, dir, counter(nil))
	for part := range slices.Chunk(counted(n), 1000) {
		require.NoError(t, client.Publisher().Publish(topicCounted, part...))
	}
	require.NoError(t, client.Close())

	before := 0
	for range kills {
		w := startProgram(t, dir)
		require.Eventually(t, func() bool { return len(effectsIn(t, dir)) > before }, within, time.Millisecond)
		before = len(effectsIn(t, dir))
		w.kill()
	}
	w := startProgram(t, dir)
	require.NotZero(t, w.left(t), "the last kill came after all was drained: it proved nothing")
	w.drained(t)
	_, err := w.terminate(t)
	require.NoError(t, err)

	seen := map[string]bool{}
	for _, id := range effectsIn(t, dir) {
		require.False(t, seen[id], "the effect of %s came twice", id)
		seen[id] = true
	}
	lost := n - len(seen)
	t.Logf("%d kills lost %d of %d messages", kills, lost, n)
	require.LessOrEqual(t, lost, kills*window)
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
