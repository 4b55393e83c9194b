package main

import (
	"io"
	"log/slog"
	"maps"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/ThreeDotsLabs/watermill/message"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/answerfeed/answerfeed/app"
	"github.com/answerfeed/answerfeed/app/event"
	"github.com/answerfeed/answerfeed/app/failure"
	"github.com/answerfeed/answerfeed/config"
	"github.com/answerfeed/answerfeed/handlers"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var answer = event.AnswerAdded{AnswerID: "a1", QuestionID: "q1", AuthorID: "u1", EventID: "e1", OccurredAt: time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)}

// posterTo is the handler's function without the worker around it.
func posterTo(url string) poster {
	return poster{url, &http.Client{
		Timeout:       100 * time.Millisecond,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		Transport:     &http.Transport{DisableKeepAlives: true},
	}}
}

func TestAnswered_WhatTheServiceSays(t *testing.T) {
	tests := map[string]struct {
		status     int
		retryAfter string
		kind       failure.Kind
		reason     failure.Reason
		after      time.Duration
	}{
		"too many":    {429, "120", failure.KindTransient, failure.Upstream, 2 * time.Minute},
		"away":        {503, "", failure.KindTransient, failure.Upstream, 0},
		"not allowed": {403, "", failure.KindPermanent, failure.Rejected, 0},
		"not found":   {404, "", failure.KindPermanent, failure.Rejected, 0},
		"moved":       {308, "", failure.KindPermanent, "moved", 0},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			service := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
				w.Header().Set("Retry-After", test.retryAfter)
				w.Header().Set("Location", "http://192.0.2.1/")
				w.WriteHeader(test.status)
			}))
			defer service.Close()
			verdict := failure.Classify(posterTo(service.URL).answered(t.Context(), answer))
			require.Equal(t, test.kind, verdict.Kind)
			require.Equal(t, test.reason, verdict.Reason)
			require.Equal(t, test.after, verdict.RetryAfter)
		})
	}
}

func TestAnswered_NobodyThere(t *testing.T) {
	slow := make(chan struct{})
	silent := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { <-slow }))
	defer silent.Close()
	defer close(slow)
	rude := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }))
	defer rude.Close()
	gone := httptest.NewServer(nil)
	gone.Close()
	for name, test := range map[string]struct {
		url    string
		reason failure.Reason
	}{
		"refused": {gone.URL, failure.Network}, "hangs up": {rude.URL, failure.Network}, "silent": {silent.URL, failure.Timeout}, "not set": {"", failure.Temporary},
	} {
		t.Run(name, func(t *testing.T) {
			verdict := failure.Classify(posterTo(test.url).answered(t.Context(), answer))
			require.Equal(t, failure.KindTransient, verdict.Kind)
			require.Equal(t, test.reason, verdict.Reason)
		})
	}
	require.Equal(t, failure.Reason("bad-url"), failure.Classify(posterTo(":").answered(t.Context(), answer)).Reason)
}

// A service that is away for a moment hears of the answer all the same, and
// can tell that the second request is the first one again.
func TestWebhook_OnARunningWorker(t *testing.T) {
	var mu sync.Mutex
	var bodies, keys []string
	service := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		mu.Lock()
		defer mu.Unlock()
		bodies, keys = append(bodies, string(body)), append(keys, r.Header.Get("Idempotency-Key"))
		if len(keys) == 1 {
			w.WriteHeader(http.StatusServiceUnavailable)
		}
	}))
	defer service.Close()
	defer http.DefaultTransport.(*http.Transport).CloseIdleConnections()

	file := filepath.Join(t.TempDir(), "webhook.db")
	settings := map[string]any{"transport.sql.dsn": file, "database.dsn": file, "web.listen": "127.0.0.1:0"}
	maps.Copy(settings, map[string]any{"handlers.webhook.options.url": service.URL, "handlers.webhook.retry.backoff": "1ms"})
	hs := []handlers.Handler{Webhook()}
	loaded, err := config.Load(config.Options{Environ: []string{}, Handlers: app.Declare(hs), Overrides: settings})
	require.NoError(t, err)
	opts := app.Options{Config: loaded.Config, Handlers: hs, Logger: slog.New(slog.DiscardHandler)}
	a, err := app.New(t.Context(), opts)
	require.NoError(t, err)
	defer func() { require.NoError(t, a.Stop(t.Context())) }()
	require.NoError(t, a.Start(t.Context()))
	client, err := app.Open(t.Context(), opts)
	require.NoError(t, err)
	defer func() { require.NoError(t, client.Close()) }()

	payload, err := answer.Encode()
	require.NoError(t, err)
	require.NoError(t, client.Publisher().Publish(event.TopicAnswerAdded, message.NewMessage("", payload)))
	require.Eventually(t, func() bool {
		mu.Lock()
		defer mu.Unlock()
		return len(keys) == 2
	}, time.Minute, 5*time.Millisecond)
	require.Equal(t, []string{"e1", "e1"}, keys)
	require.JSONEq(t, `{"question_id":"q1","answer_id":"a1","author_id":"u1","answered_at":"2026-01-02T03:04:05Z"}`, bodies[1])
}

func TestRun_TellsWhatIsWrong(t *testing.T) {
	require.ErrorContains(t, run(t.Context(), []string{"-config", filepath.Join(t.TempDir(), "no.yaml")}), "no.yaml")
}
