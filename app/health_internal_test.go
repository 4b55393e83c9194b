package app

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
)

func TestHealth_OneLineAChange(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var log bytes.Buffer
		var away atomic.Bool
		h := newHealth(slog.New(slog.NewTextHandler(&log, nil)))
		h.watch("database", func(context.Context) error {
			if away.Load() {
				return errors.New("no answer from 10.0.0.1")
			}
			return nil
		})
		h.watch("transport", func(context.Context) error { return nil })
		require.False(t, h.report(t.Context()).Ready, "not before it was started")
		h.started()
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan struct{})
		go func() { h.run(ctx); close(done) }()
		start := time.Now()
		pass := func(d time.Duration) {
			<-time.After(d)
			synctest.Wait()
		}

		pass(10*time.Second + time.Millisecond)
		require.Empty(t, log.String(), "nothing has changed")
		require.Equal(t, start, h.report(ctx).Dependencies["database"].Since)

		away.Store(true)
		pass(probeEvery)
		require.True(t, h.report(ctx).Dependencies["database"].Available, "one miss is none")
		pass(probeEvery)
		report := h.report(ctx)
		require.True(t, report.Ready, "once ready it stays so")
		require.False(t, report.Dependencies["database"].Available)
		require.NotContains(t, report.Dependencies["database"].Detail, "10.0.0.1", "anybody can read it")
		require.True(t, report.Dependencies["transport"].Available)
		went := report.Dependencies["database"].Since
		require.WithinDuration(t, time.Now(), went, 2*probeEvery)

		pass(time.Minute)
		require.Equal(t, 1, strings.Count(log.String(), "\n"))
		require.Contains(t, log.String(), "is away")
		require.Equal(t, went, h.report(ctx).Dependencies["database"].Since)

		away.Store(false)
		pass(probeEvery)
		require.True(t, h.report(ctx).Dependencies["database"].Available)
		require.Equal(t, 2, strings.Count(log.String(), "\n"))
		require.Contains(t, log.String(), "is back")

		away.Store(true) // and again
		pass(2 * probeEvery)
		require.False(t, h.report(ctx).Dependencies["database"].Available)
		cancel()
		<-done
	})
}

func TestHealth_AProbeThatHangsIsAMiss(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHealth(slog.New(slog.DiscardHandler))
		h.watch("database", func(ctx context.Context) error { <-ctx.Done(); return ctx.Err() })
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan struct{})
		go func() { h.run(ctx); close(done) }()
		<-time.After(2 * time.Second) // the promise is: seen within 2 s
		synctest.Wait()
		require.False(t, h.report(ctx).Dependencies["database"].Available)
		cancel()
		<-done
	})
}

func TestLifecycle_LastInFirstOut(t *testing.T) {
	var l lifecycle
	var order []string
	first, third := errors.New("first"), errors.New("third")
	l.closing(func() error { order = append(order, "first"); return first })
	l.then(func() { order = append(order, "second") })
	l.push(func(ctx context.Context) error {
		order = append(order, "third")
		require.Equal(t, t.Context(), ctx)
		return third
	})
	err := l.close(t.Context())
	require.Equal(t, []string{"third", "second", "first"}, order)
	require.ErrorIs(t, err, first)
	require.ErrorIs(t, err, third)
	require.NoError(t, l.close(t.Context()), "what is closed is closed")
	require.Len(t, order, 3)
}
