package dependency_test

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/answerfeed/answerfeed/internal/dependency"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// rig is a set with a database that is away when it is told to.
type rig struct {
	*dependency.Set
	away   atomic.Bool
	hangs  atomic.Bool
	probes atomic.Int64
	log    bytes.Buffer
	group  *dependency.Group
}

func start(t *testing.T) *rig {
	r := &rig{}
	r.Set = dependency.New(slog.New(slog.NewTextHandler(&r.log, nil)))
	r.Add("database", func(ctx context.Context) error {
		r.probes.Add(1)
		if r.hangs.Load() {
			<-ctx.Done()
			return ctx.Err()
		}
		if r.away.Load() {
			return errors.New("connection refused")
		}
		return nil
	})
	r.Add("transport", func(context.Context) error { return nil })
	var err error
	r.group, err = r.Group("database", "transport")
	require.NoError(t, err)
	ctx, cancel := context.WithCancel(t.Context())
	var running sync.WaitGroup
	running.Go(func() { r.Run(ctx) })
	t.Cleanup(func() { cancel(); running.Wait(); r.Close() })
	return r
}

func pass(d time.Duration) {
	<-time.After(d)
	synctest.Wait()
}

// wait begins an attempt, and says nothing of its end.
func wait(ctx context.Context, r *rig, within time.Duration) error {
	_, err := r.group.Begin(ctx, within)
	return err
}

// begin begins an attempt that nothing holds up.
func begin(t *testing.T, r *rig) *dependency.Attempt {
	t.Helper()
	attempt, err := r.group.Begin(t.Context(), time.Hour)
	require.NoError(t, err)
	return attempt
}

// answered is the word on a doubtful failure.
func answered(t *testing.T, r *rig) bool {
	t.Helper()
	return begin(t, r).End(t.Context(), errors.New("doubtful"), true)
}

func (r *rig) open() bool {
	open, _ := r.group.Open()
	return open
}

func TestSet_OneLineAChange(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r, begin := start(t), time.Now()
		pass(10*time.Second + time.Millisecond)
		require.Empty(t, r.log.String(), "nothing has changed")
		require.Equal(t, dependency.State{Available: true, Since: begin}, r.States()["database"])

		r.away.Store(true)
		pass(500 * time.Millisecond)
		require.True(t, r.open(), "one miss is none")
		pass(500 * time.Millisecond)
		require.False(t, r.open())
		went := r.States()["database"].Since
		pass(time.Minute)
		require.Equal(t, dependency.State{Since: went}, r.States()["database"])
		require.True(t, r.States()["transport"].Available)
		require.Equal(t, 1, strings.Count(r.log.String(), "\n"))

		r.away.Store(false)
		pass(500 * time.Millisecond)
		require.True(t, r.open())
		require.Equal(t, 2, strings.Count(r.log.String(), "\n"))
	})
}

func TestSet_AProbeThatHangsIsAMiss(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := start(t)
		r.hangs.Store(true)
		pass(2 * time.Second) // the promise: seen within 2 s
		require.False(t, r.open())
	})
}

func TestGroup_WaitsForTheReturn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := start(t)
		begin(t, r)
		r.away.Store(true)
		pass(2 * time.Second)
		waited := make(chan error, 1)
		go func() { waited <- wait(t.Context(), r, time.Hour) }()
		pass(time.Minute)
		require.Empty(t, waited)
		r.away.Store(false)
		back := time.Now()
		require.NoError(t, <-waited)
		require.LessOrEqual(t, time.Since(back), time.Second)
	})
}

func TestGroup_NobodyWaitsForEver(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := start(t)
		r.away.Store(true)
		pass(2 * time.Second)
		begin := time.Now()
		require.ErrorIs(t, wait(t.Context(), r, time.Minute), dependency.ErrAway)
		require.Equal(t, time.Minute, time.Since(begin))
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		require.ErrorIs(t, wait(ctx, r, time.Minute), dependency.ErrAway)
		r.Stop()
		r.Stop()
		require.ErrorIs(t, wait(t.Context(), r, time.Hour), dependency.ErrStopping)
	})
}

// The answer is to a question asked after the call: one that was under way
// then may have been answered before the outage.
func TestGroup_AnsweredByAFreshProbe(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := start(t)
		require.True(t, answered(t, r))
		r.hangs.Store(true)
		first := make(chan bool, 1)
		attempt := begin(t, r)
		go func() { first <- attempt.End(t.Context(), errors.New("doubtful"), true) }()
		synctest.Wait() // the probe of the first hangs
		r.hangs.Store(false)
		begin := time.Now()
		require.True(t, answered(t, r), "by the next probe")
		require.Greater(t, time.Since(begin), time.Duration(0))
		require.False(t, <-first)
	})
}

func TestGroup_ManyShareAProbe(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := start(t)
		r.hangs.Store(true)
		before := r.probes.Load()
		var all sync.WaitGroup
		for range 1000 {
			all.Go(func() { answered(t, r) })
		}
		all.Wait()
		require.LessOrEqual(t, r.probes.Load()-before, int64(3))
	})
}

func TestSet_ClosedAnswersNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := start(t)
		r.Close()
		require.False(t, answered(t, r))
	})
}

func TestSet_GroupOfAStranger(t *testing.T) {
	_, err := dependency.New(slog.New(slog.DiscardHandler)).Group("redis")
	require.ErrorContains(t, err, `"redis"`)
}
