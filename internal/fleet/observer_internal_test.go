package fleet

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// watching is an observer that looks once a second at one worker of another
// machine.
type watching struct {
	*observer
	now time.Time
}

func watch() *watching { return &watching{observer: newObserver(), now: time.Now()} }

func (w *watching) look(beats int64) (dead bool) {
	w.begin()
	w.now = w.now.Add(beatEvery)
	w.end(w.now, []*Worker{{ID: "other", beats: beats}})
	return w.seen["other"].silent(w.now)
}

func TestObserver_TenLooksWithoutABeatAreADeath(t *testing.T) {
	w := watch()
	for beats := range int64(5) {
		require.False(t, w.look(beats))
	}
	for range 10 {
		require.False(t, w.look(5))
	}
	require.True(t, w.look(5))
	require.False(t, w.look(6), "it lives")
}

// While the database is away for this process it hears of nobody, and when it
// is back the others get their time again.
func TestObserver_AnOutageIsNoDeath(t *testing.T) {
	w := watch()
	for range 10 {
		require.False(t, w.look(1))
	}
	for range 100 {
		w.begin()
		w.now = w.now.Add(beatEvery)
		w.failed()
	}
	for range 10 {
		require.False(t, w.look(1))
	}
	require.True(t, w.look(1))
}

// A process that was stopped for long has looked at nobody meanwhile.
func TestObserver_TimeAloneIsNoDeath(t *testing.T) {
	w := watch()
	require.False(t, w.look(1))
	w.now = w.now.Add(time.Hour)
	for range 9 {
		require.False(t, w.look(1))
	}
}

// Looks that come faster than time do not count as seconds.
func TestObserver_LooksAloneAreNoDeath(t *testing.T) {
	w := watch()
	for range 100 {
		w.begin()
		w.end(w.now, []*Worker{{ID: "other", beats: 1}})
		require.False(t, w.seen["other"].silent(w.now))
	}
}

// One beat that is found after a moment may have been made before it; of two,
// the second was not.
func TestObserver_TwoBeatsProveALife(t *testing.T) {
	w := watch()
	w.look(1)
	w.look(2)
	since := w.looks
	require.LessOrEqual(t, w.seen["other"].before, since)
	w.look(3)
	require.LessOrEqual(t, w.seen["other"].before, since, "that beat may be older")
	w.look(3)
	w.look(4)
	require.Greater(t, w.seen["other"].before, since)
}
