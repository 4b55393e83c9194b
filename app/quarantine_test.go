package app_test

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/answerfeed/answerfeed/app"
	"github.com/answerfeed/answerfeed/config"
	"github.com/answerfeed/answerfeed/handlers"
	"github.com/answerfeed/answerfeed/internal/web"
	"github.com/answerfeed/answerfeed/middleware"
)

// deaf is a handler of the topic "probe" that ignores its context until goOn is
// closed.
func deaf(goOn <-chan struct{}) handlers.Handler {
	decode := func(payload []byte) (string, error) { return string(payload), nil }
	return handlers.Handler{Name: "deaf", Topics: func(handlers.Env) []handlers.Topic {
		return []handlers.Topic{app.On("probe", decode, func(context.Context, string) error { <-goOn; return nil })}
	}}
}

// impatient gives attempts up as soon as possible.
func impatient(h *config.Handler) {
	h.Timeout, h.Retry = time.Millisecond, config.Retry{Attempts: 1, Redeliver: []time.Duration{10 * time.Millisecond, 10 * time.Millisecond}}
}

func probes(from, n int) (payloads []string) {
	for i := range n {
		payloads = append(payloads, fmt.Sprintf(`{"event_id":"p%d"}`, from+i))
	}
	return payloads
}

// A hundred attempts of one handler that ignored their context ended the
// process, and took feed, leaderboard and pages with it.
func TestQuarantine_OneHandlerLeavesTheOthersAlone(t *testing.T) {
	goOn := make(chan struct{})
	all := append(handlers.All(), deaf(goOn))
	r := newRig(t, all)
	a := r.run(t, all, handler("deaf", impatient))
	over, stop := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- a.Wait(over) }()
	r.publish(t, "probe", probes(0, middleware.MaxAbandoned+10)...)

	var ready web.ReadyReport
	eventually(t, func() bool {
		getJSON(t, a, "/readyz", &ready)
		return len(ready.Quarantined) > 0
	})
	require.True(t, ready.Ready)
	require.GreaterOrEqual(t, ready.Quarantined["deaf"].Stuck, middleware.MaxAbandoned)
	_, metrics := get(t, a, "/metrics")
	require.Contains(t, metrics, `answerfeed_handler_quarantined{handler="deaf"} 1`)
	require.Contains(t, metrics, `answerfeed_handler_quarantined{handler="feed"} 0`)
	require.Equal(t, 1, strings.Count(r.log.String(), "a handler is in quarantine"))
	_, line, _ := strings.Cut(r.log.String(), "a handler is in quarantine")
	line, _, _ = strings.Cut(line, "\n")
	require.Contains(t, line, "deaf.func", "the stack")

	// It takes nothing in; the others go on.
	r.publish(t, "probe", probes(1000, 20)...)
	r.publish(t, "question-added", `{"question_id":"q1","title":"Why?","subject":"physics","grade":"school","author_id":"ada","occurred_at":"2026-01-02T03:04:05Z"}`)
	r.publish(t, "answer-added", `{"answer_id":"a1","question_id":"q1","author_id":"bob","excerpt":"So.","occurred_at":"2026-01-02T03:09:00Z"}`)
	eventually(t, func() bool {
		_, question := get(t, a, "/api/questions/q1")
		_, board := get(t, a, "/api/leaderboard")
		return strings.Contains(question, `"a1"`) && strings.Contains(board, `"bob"`)
	})
	backlog, err := r.client.Backlog(t.Context())
	require.NoError(t, err)
	for _, b := range backlog {
		if b.Handler == "deaf" {
			require.GreaterOrEqual(t, b.Ready, int64(20), "they wait in the queue")
		}
	}
	stop()
	require.NoError(t, <-ended, "the process goes on")

	// Once they come back, so does the handler.
	close(goOn)
	require.Empty(t, r.settled(t))
	var after web.ReadyReport
	getJSON(t, a, "/readyz", &after)
	require.Empty(t, after.Quarantined)
}

func TestQuarantine_EndsTheProcessWhereConfigured(t *testing.T) {
	goOn := make(chan struct{})
	all := append(handlers.All(), deaf(goOn))
	r := newRig(t, all)
	a := r.run(t, all, handler("deaf", impatient), handler("deaf", func(h *config.Handler) { h.OnStuck = config.StuckExit }))
	defer close(goOn)
	r.publish(t, "probe", probes(0, middleware.MaxAbandoned)...)
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	require.ErrorContains(t, a.Wait(ctx), "handler deaf: 100 attempts ignore the end of their context and still run")
}
