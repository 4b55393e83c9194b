package dependency_test

import (
	"context"
	"errors"
	"log/slog"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/answerfeed/answerfeed/internal/dependency"
)

// errDisk is the database's fault, errTable that of the handler's tables.
var errDisk, errTable = errors.New("disk full"), errors.New("no such table")

// work is a set with two handlers on one database that answers all the time.
type work struct {
	*rig
	feed, board *dependency.Group
	trial       atomic.Bool // whether it succeeds
	trials      atomic.Int64
}

func startWork(t *testing.T) *work {
	w := &work{rig: &rig{}}
	w.Set = dependency.New(slog.New(slog.NewTextHandler(&w.log, nil)))
	w.Add("database", func(context.Context) error { return nil })
	w.SetTrial("database", func(context.Context) error {
		w.trials.Add(1)
		if w.trial.Load() {
			return nil
		}
		return errDisk
	})
	group := func(tables string) *dependency.Group {
		w.Add(tables, nil)
		g, err := w.Group("database", tables)
		require.NoError(t, err)
		g.Blame(func(err error) string {
			switch {
			case errors.Is(err, errDisk):
				return "database"
			case errors.Is(err, errTable):
				return tables
			}
			return ""
		})
		return g
	}
	w.feed, w.board = group("feed/tables"), group("board/tables")
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() { defer close(done); w.Run(ctx) }()
	t.Cleanup(func() { cancel(); <-done; w.Close() })
	return w
}

// attempt makes one that ends so.
func (w *work) attempt(t *testing.T, g *dependency.Group, err error) (counts bool) {
	t.Helper()
	a, away := g.Begin(t.Context(), time.Hour)
	require.NoError(t, away)
	return a.End(t.Context(), err, err != nil)
}

func gate(g *dependency.Group) bool {
	open, _ := g.Open()
	return open
}

// A probe that is answered does not end it, nor does what was begun before.
func TestOutage_OfWorkEndsByWork(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := startWork(t)
		early, err := w.feed.Begin(t.Context(), time.Hour)
		require.NoError(t, err)
		require.False(t, w.attempt(t, w.feed, errDisk), "it does not count")
		require.True(t, w.States()["database"].Refuses)
		require.True(t, early.End(t.Context(), nil, false))
		var tried atomic.Int64
		fails := make(chan error)
		for range 20 {
			go func() {
				for {
					a, err := w.feed.Begin(t.Context(), time.Hour)
					if err != nil {
						return
					}
					tried.Add(1)
					if err = <-fails; a.End(t.Context(), err, err != nil) {
						return
					}
				}
			}()
		}
		pass(time.Minute)
		require.EqualValues(t, 1, tried.Load(), "one at a time")
		require.False(t, gate(w.feed))
		require.False(t, gate(w.board))
		require.Zero(t, w.trials.Load(), "there is work that shows it")
		fails <- errDisk
		pass(400 * time.Millisecond)
		require.EqualValues(t, 1, tried.Load(), "not in a hot loop")
		pass(200 * time.Millisecond)
		require.EqualValues(t, 2, tried.Load())
		fails <- nil
		synctest.Wait()
		require.True(t, gate(w.board))
		require.EqualValues(t, 2+19, tried.Load())
		for range 19 {
			fails <- nil
		}
		require.Equal(t, 2, strings.Count(w.log.String(), "\n"), w.log.String())
	})
}

func TestOutage_OfOneHandlersTables(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := startWork(t)
		require.False(t, w.attempt(t, w.feed, errTable))
		require.True(t, w.States()["database"].Available)
		require.False(t, w.States()["feed/tables"].Available)
		require.NotContains(t, w.States(), "board/tables", "it was never away")
		require.True(t, w.attempt(t, w.board, nil))
		require.True(t, gate(w.board))
		require.True(t, gate(w.feed), "a message must be let in, to show whether it is over")
		pass(time.Second)
		held, err := w.feed.Begin(t.Context(), time.Hour)
		require.NoError(t, err)
		require.False(t, gate(w.feed), "one is enough")
		require.True(t, held.End(t.Context(), nil, false))
		require.True(t, w.States()["feed/tables"].Available)
	})
}

// When nobody is there who could try, a trial is made, or it is over until the
// next who meets it.
func TestOutage_WithoutWork(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := startWork(t)
		require.False(t, w.attempt(t, w.feed, errDisk))
		pass(10 * time.Second)
		require.Greater(t, w.trials.Load(), int64(5))
		require.False(t, gate(w.feed))
		w.trial.Store(true)
		pass(time.Second)
		require.True(t, gate(w.feed))

		require.False(t, w.attempt(t, w.feed, errTable))
		pass(4 * time.Second)
		require.False(t, w.States()["feed/tables"].Available)
		pass(2 * time.Second)
		require.True(t, w.States()["feed/tables"].Available)
	})
}

// A doubtful failure, or one of its own, of the attempt that is made counts for
// nothing while the outage lasts.
func TestOutage_OwnFaultsAreNoProof(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := startWork(t)
		require.False(t, w.attempt(t, w.feed, errDisk))
		require.False(t, w.attempt(t, w.feed, errors.New("doubtful")))
		require.False(t, w.States()["database"].Available)
		require.True(t, w.attempt(t, w.feed, nil))
		require.True(t, w.States()["database"].Available)
	})
}
