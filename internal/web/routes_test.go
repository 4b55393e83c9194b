package web_test

import (
	"context"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/answerfeed/answerfeed/internal/web"
)

// routes are all addresses of a filled site.
var routes = []string{
	"/", "/questions/q4", "/leaderboard",
	"/api/feed", "/api/questions/q4", "/api/subjects", "/api/leaderboard", "/api/backlog",
	"/livez", "/readyz", "/metrics",
}

func isPage(path string) bool {
	return path == "/" || path == "/questions/q4" || path == "/leaderboard"
}

func TestHeadersOfEveryRoute(t *testing.T) {
	s := newSite(t)
	s.fill()
	for _, path := range append([]string{"/nothing", "/api/nothing", "/api/feed?limit=0", "/?answered=maybe"}, routes...) {
		h := s.get(path).Header
		require.Contains(t, h.Get("Content-Security-Policy"), "default-src 'none'", path)
		require.NotContains(t, h.Get("Content-Security-Policy"), "unsafe", path)
		require.Equal(t, "nosniff", h.Get("X-Content-Type-Options"), path)
		require.Equal(t, "same-origin", h.Get("Referrer-Policy"), path)
		require.Equal(t, "no-cache", h.Get("Cache-Control"), path)
	}
}

func TestHead(t *testing.T) {
	s := newSite(t)
	s.fill()
	for _, path := range append([]string{"/nothing", "/api/nothing"}, routes...) {
		get, head := s.get(path), s.do(http.MethodHead, path)
		require.Equal(t, get.StatusCode, head.StatusCode, path)
		require.Equal(t, get.Header.Get("Content-Type"), head.Header.Get("Content-Type"), path)
		require.Empty(t, head.body, path)
	}
}

func TestOtherMethods(t *testing.T) {
	s := newSite(t)
	for _, path := range routes {
		for _, method := range []string{http.MethodPost, http.MethodPut, http.MethodPatch, http.MethodDelete, http.MethodOptions, "BREW"} {
			r := s.do(method, path)
			require.Equal(t, http.StatusMethodNotAllowed, r.StatusCode, "%s %s", method, path)
			require.Equal(t, "GET, HEAD", r.Header.Get("Allow"), "%s %s", method, path)
			if !isPage(path) {
				r.problem(t, http.StatusMethodNotAllowed)
			}
		}
	}
}

func TestBacklog(t *testing.T) {
	s := newSite(t, func(o *web.Options) {
		o.Backlog = func(context.Context) ([]web.Queue, error) {
			return []web.Queue{
				{Handler: "feed", Topic: "question-added", Ready: 3, InFlight: 2, Delayed: 1, Dead: 4, Oldest: 1500 * time.Millisecond},
				{Handler: "feed", Topic: "answer-added", Ready: 10, Oldest: 61*time.Second + 123456*time.Microsecond},
				{Handler: "leaderboard", Topic: "answer-added"},
			}, nil
		}
		o.Outbox = func(context.Context) (web.Outbox, error) {
			return web.Outbox{Waiting: 7, Failing: 2, Oldest: 3*time.Second + 14159*time.Microsecond}, nil
		}
	})
	require.JSONEq(t, `{"handlers":{
		"feed":{"ready":13,"in_flight":2,"pending":15,"delayed":1,"dead":4,"oldest_seconds":61.123,"topics":{
			"question-added":{"ready":3,"in_flight":2,"pending":5,"delayed":1,"dead":4,"oldest_seconds":1.5},
			"answer-added":{"ready":10,"in_flight":0,"pending":10,"delayed":0,"dead":0,"oldest_seconds":61.123}}},
		"leaderboard":{"ready":0,"in_flight":0,"pending":0,"delayed":0,"dead":0,"oldest_seconds":0,"topics":{
			"answer-added":{"ready":0,"in_flight":0,"pending":0,"delayed":0,"dead":0,"oldest_seconds":0}}}
	},"outbox":{"waiting":7,"failing":2,"oldest_seconds":3.014}}`, s.get("/api/backlog").body)
	require.JSONEq(t, `{"handlers":{},"outbox":{"waiting":0,"failing":0,"oldest_seconds":0}}`, newSite(t).get("/api/backlog").body)
}

func TestReadyz(t *testing.T) {
	since := time.Date(2025, 3, 10, 13, 0, 0, 0, time.FixedZone("CET", 3600))
	for _, c := range []struct {
		name   string
		report web.ReadyReport
		status int
		body   string
	}{
		{"starting", web.ReadyReport{}, http.StatusServiceUnavailable, `{"ready":false,"dependencies":{}}`},
		{"ready", web.ReadyReport{Ready: true, Dependencies: map[string]web.Dependency{"database": {Available: true, Since: since}}},
			http.StatusOK, `{"ready":true,"dependencies":{"database":{"available":true,"since":"2025-03-10T12:00:00Z"}}}`},
		{"ready, a dependency away", web.ReadyReport{Ready: true, Dependencies: map[string]web.Dependency{"database": {Since: since, Detail: "no answer"}}},
			http.StatusOK, `{"ready":true,"dependencies":{"database":{"available":false,"since":"2025-03-10T12:00:00Z","detail":"no answer"}}}`},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := newSite(t, func(o *web.Options) { o.Ready = func(context.Context) web.ReadyReport { return c.report } })
			r := s.get("/readyz")
			require.Equal(t, c.status, r.StatusCode)
			require.JSONEq(t, c.body, r.body)
			require.Equal(t, http.StatusOK, s.get("/livez").StatusCode, "alive in any case")
		})
	}
}

func TestMetrics(t *testing.T) {
	r := newSite(t).get("/metrics")
	require.Equal(t, http.StatusOK, r.StatusCode)
	require.Equal(t, "up 1\n", r.body)
}

func TestDatabaseAway(t *testing.T) {
	s := newSite(t, func(o *web.Options) {
		o.Backlog = func(context.Context) ([]web.Queue, error) { return nil, errSecret }
	})
	s.fill()
	require.NoError(t, s.db.Close())
	for _, path := range routes {
		r := s.get(path)
		switch {
		case path == "/livez" || path == "/readyz" || path == "/metrics":
			require.Equal(t, http.StatusOK, r.StatusCode, path)
			continue
		case isPage(path):
			require.Equal(t, http.StatusServiceUnavailable, r.StatusCode, path)
			require.Contains(t, r.body, "cannot be read at the moment")
		default:
			r.problem(t, http.StatusServiceUnavailable)
		}
		require.Equal(t, "5", r.Header.Get("Retry-After"), path)
		for _, internal := range []string{"sql", "closed", "hunter2"} {
			require.NotContains(t, strings.ToLower(r.body), internal, path)
		}
	}
	require.Contains(t, s.log.String(), "database is closed", "the log tells the cause")
	require.Contains(t, s.log.String(), `route="GET /api/questions/{id...}"`)
}

func TestPanicIsAnError(t *testing.T) {
	s := newSite(t, func(o *web.Options) {
		o.Metrics = http.HandlerFunc(func(http.ResponseWriter, *http.Request) { panic("out of ink") })
	})
	p := s.get("/metrics").problem(t, http.StatusInternalServerError)
	require.NotContains(t, p["detail"], "ink")
	require.Contains(t, s.log.String(), "out of ink")
	require.Equal(t, http.StatusOK, s.get("/livez").StatusCode, "the server goes on")
}

func TestClientGone(t *testing.T) {
	entered, left := make(chan struct{}), make(chan struct{})
	s := newSite(t, func(o *web.Options) {
		o.Backlog = func(ctx context.Context) ([]web.Queue, error) {
			close(entered)
			<-ctx.Done()
			close(left)
			return nil, ctx.Err()
		}
	})
	ctx, cancel := context.WithCancel(t.Context())
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+s.server.Addr()+"/api/backlog", nil)
	require.NoError(t, err)
	go func() {
		<-entered
		cancel()
	}()
	resp, err := s.client.Do(req)
	if err == nil {
		_ = resp.Body.Close()
	}
	require.ErrorIs(t, err, context.Canceled)
	<-left
	require.NoError(t, s.server.Shutdown(t.Context()))
	require.Empty(t, s.log.String(), "nobody's fault, nothing to log")
}

func TestHugeRequestsAreRefused(t *testing.T) {
	s := newSite(t)
	r := s.get("/api/feed?cursor=" + strings.Repeat("x", 64<<10))
	require.Equal(t, http.StatusRequestHeaderFieldsTooLarge, r.StatusCode)
}
