package web_test

import (
	"context"
	"net"
	"net/http"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/answerfeed/answerfeed/internal/web"
)

func TestConfig(t *testing.T) {
	require.NoError(t, web.DefaultConfig().Validate())
	for _, c := range []struct{ name, listen, problem string }{
		{"all interfaces", ":8080", ""},
		{"free port", "127.0.0.1:0", ""},
		{"a name", "localhost:80", ""},
		{"IPv6", "[::1]:8080", ""},
		{"empty", "", "listen: must not be empty"},
		{"no port", "127.0.0.1", "is not host:port"},
		{"port alone", "8080", "is not host:port"},
		{"empty port", "127.0.0.1:", "is not a number from 0 to 65535"},
		{"port in words", "127.0.0.1:web", "is not a number from 0 to 65535"},
		{"port too high", "127.0.0.1:65536", "is not a number from 0 to 65535"},
		{"bare IPv6", "::1:8080", "is not host:port"},
		{"a URL", "http://127.0.0.1:8080", "is not host:port"},
	} {
		t.Run(c.name, func(t *testing.T) {
			err := web.Config{Listen: c.listen}.Validate()
			if c.problem == "" {
				require.NoError(t, err)
				return
			}
			require.ErrorContains(t, err, c.problem)
		})
	}
}

func TestOptionsThatAreMissing(t *testing.T) {
	s := newSite(t)
	for name, remove := range map[string]func(*web.Options){
		"Options.Feed":        func(o *web.Options) { o.Feed = nil },
		"Options.Leaderboard": func(o *web.Options) { o.Leaderboard = nil },
		"Options.Backlog":     func(o *web.Options) { o.Backlog = nil },
		"Options.Outbox":      func(o *web.Options) { o.Outbox = nil },
		"Options.Ready":       func(o *web.Options) { o.Ready = nil },
		"Options.Metrics":     func(o *web.Options) { o.Metrics = nil },
		"listen":              func(o *web.Options) { o.Config = web.Config{} },
	} {
		opts := s.options()
		remove(&opts)
		_, err := web.New(opts)
		require.ErrorContains(t, err, name)
	}
}

func TestTakenPort(t *testing.T) {
	s := newSite(t)
	opts := s.options()
	opts.Config.Listen = s.server.Addr()
	_, err := web.New(opts)
	require.EqualError(t, err, "web: "+s.server.Addr()+" is already in use by another program; set web.listen to a free address")
}

func TestForeignAddress(t *testing.T) {
	opts := newSite(t).options()
	opts.Config.Listen = "192.0.2.1:80" // reserved for documentation: never this machine's
	_, err := web.New(opts)
	require.ErrorContains(t, err, "web: listen: ")
}

func TestShutdownBeforeServe(t *testing.T) {
	s := newSite(t)
	idle, err := web.New(s.options())
	require.NoError(t, err)
	require.NoError(t, idle.Shutdown(t.Context()))
	l, err := net.Listen("tcp", idle.Addr())
	require.NoError(t, err, "the port is free again")
	require.NoError(t, l.Close())
	require.NoError(t, idle.Serve(), "serving what was shut down ends at once")
}

// blocked starts a site with one request under way; it ends when release is closed.
func blocked(t *testing.T) (s *site, release chan struct{}, answered chan int) {
	entered := make(chan struct{})
	release, answered = make(chan struct{}), make(chan int, 1)
	s = newSite(t, func(o *web.Options) {
		o.Backlog = func(context.Context) ([]web.Queue, error) {
			close(entered)
			<-release
			return nil, nil
		}
	})
	go func() {
		resp, err := s.client.Get("http://" + s.server.Addr() + "/api/backlog")
		if err != nil {
			answered <- 0
			return
		}
		_ = resp.Body.Close()
		answered <- resp.StatusCode
	}()
	<-entered
	return s, release, answered
}

func TestShutdownWaitsForRequests(t *testing.T) {
	s, release, answered := blocked(t)
	down := make(chan error, 1)
	go func() { down <- s.server.Shutdown(context.Background()) }()
	require.NoError(t, <-s.served, "Serve ends when Shutdown begins")
	require.Empty(t, down, "Shutdown waits")
	_, err := net.Dial("tcp", s.server.Addr())
	require.Error(t, err, "nothing new is taken in")
	close(release)
	require.Equal(t, http.StatusOK, <-answered)
	require.NoError(t, <-down)
}

func TestShutdownCutsOffAtTheDeadline(t *testing.T) {
	s, release, answered := blocked(t)
	defer close(release)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	require.ErrorContains(t, s.server.Shutdown(ctx), "cut off")
	require.Zero(t, <-answered, "the connection was closed")
}
