package app_test

import (
	"bytes"
	"context"
	"database/sql"
	"log/slog"
	"net/http"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/answerfeed/answerfeed/app"
	"github.com/answerfeed/answerfeed/app/database"
	"github.com/answerfeed/answerfeed/app/event"
	"github.com/answerfeed/answerfeed/config"
	"github.com/answerfeed/answerfeed/handlers"
)

// Stop lets what is in flight finish; what it did not take in comes to the
// next worker.
func TestApp_StopDrains(t *testing.T) {
	began, goOn := make(chan string, 3), make(chan struct{})
	p := &probe{script: func(payload string, _ int) error {
		began <- payload
		<-goOn
		return nil
	}}
	all := []handlers.Handler{p.handler("probe")}
	r := newRig(t, all)
	a := r.run(t, all, handler("probe", func(h *config.Handler) { h.Concurrency = 1 }))
	r.publish(t, "probe", "first")
	require.Equal(t, "first", <-began)
	r.publish(t, "probe", "second", "third")

	stopped := make(chan error, 1)
	go func() { stopped <- a.Stop(context.WithoutCancel(t.Context())) }()
	status, _ := get(t, a, "/livez")
	require.Equal(t, http.StatusOK, status, "the pages outlive the handlers")
	require.Empty(t, stopped, "it waits for what is in flight")
	close(goOn)
	require.NoError(t, <-stopped)
	pending, dead := r.waiting(t)
	require.EqualValues(t, 3-p.made("first")-p.made("second")-p.made("third"), pending, "nothing is in between")
	require.Zero(t, dead)

	r.run(t, all)
	require.Empty(t, r.settled(t))
	for _, payload := range []string{"first", "second", "third"} {
		require.Equal(t, 1, p.made(payload))
	}
}

// A letter that the desk cannot take rests in the broker until it can.
func TestApp_LetterThatCannotBeStoredWaits(t *testing.T) {
	p := &probe{script: func(string, int) error { return errBoom }}
	all := []handlers.Handler{p.handler("probe")}
	r := newRig(t, all)
	rename := func(from, to string) {
		require.NoError(t, r.db.Update(t.Context(), database.Durable, func(ctx context.Context, tx *sql.Tx) error {
			_, err := tx.ExecContext(ctx, "ALTER TABLE "+from+" RENAME TO "+to)
			return err
		}))
	}
	rename("dead_letters", "away")
	r.run(t, all)
	r.publish(t, "probe", "x")
	eventually(t, func() bool { return strings.Contains(r.log.String(), "could not be stored") })
	require.Contains(t, r.log.String(), "handler=probe topic=probe correlation_id=")
	_, dead := r.waiting(t)
	require.EqualValues(t, 1, dead, "it counts already")
	rename("away", "dead_letters")
	eventually(t, func() bool { return len(r.letters(t)) == 1 })
	require.Len(t, r.settled(t), 1)
	require.Equal(t, 1, p.made("x"))
}

func TestLogHandler_AddsTheMessageToItsLines(t *testing.T) {
	var b bytes.Buffer
	logger := slog.New(app.LogHandler(slog.NewTextHandler(&b, &slog.HandlerOptions{ReplaceAttr: func(_ []string, a slog.Attr) slog.Attr {
		if a.Key == slog.TimeKey {
			return slog.Attr{}
		}
		return a
	}})))
	ctx := event.WithMessage(t.Context(), event.NewMessage("answer-added", "feed", "c1", nil, ""))
	logger.InfoContext(ctx, "about it", "n", 1)
	logger.With("with", "yes").InfoContext(ctx, "derived")
	logger.InfoContext(t.Context(), "about nothing")
	logger.DebugContext(ctx, "below the level")
	require.Equal(t, "level=INFO msg=\"about it\" n=1 handler=feed topic=answer-added correlation_id=c1\n"+
		"level=INFO msg=derived with=yes handler=feed topic=answer-added correlation_id=c1\n"+
		"level=INFO msg=\"about nothing\"\n", b.String())
}
