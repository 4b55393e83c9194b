package app

import (
	"context"
	"errors"
	"log/slog"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/answerfeed/answerfeed/internal/dependency"
)

func TestHealth_OnceReadyItStaysSo(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := &health{dependencies: dependency.New(slog.New(slog.DiscardHandler))}
		h.dependencies.Add(needsDatabase, func(context.Context) error { return errors.New("no answer from 10.0.0.1") })
		h.dependencies.Add(needsTransport, func(context.Context) error { return nil })
		require.False(t, h.report(t.Context()).Ready, "not before it was started")
		h.ready.Store(true)
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan struct{})
		go func() { h.dependencies.Run(ctx); close(done) }()
		<-time.After(2 * time.Second)
		report := h.report(ctx)
		require.True(t, report.Ready)
		require.False(t, report.Dependencies[needsDatabase].Available)
		require.NotContains(t, report.Dependencies[needsDatabase].Detail, "10.0.0.1", "anybody can read it")
		require.True(t, report.Dependencies[needsTransport].Available)
		cancel()
		<-done
		h.dependencies.Close()
	})
}
