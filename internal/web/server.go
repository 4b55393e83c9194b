package web

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"syscall"
	"time"

	"github.com/answerfeed/answerfeed/internal/feed"
	"github.com/answerfeed/answerfeed/internal/leaderboard"
)

// Bounds of one connection and one request. The query deadline lies below the
// write timeout, so that a slow database still gets its 503 out.
const (
	readHeaderTimeout = 5 * time.Second
	readTimeout       = 10 * time.Second
	queryTimeout      = 10 * time.Second
	writeTimeout      = 30 * time.Second
	idleTimeout       = 2 * time.Minute
	maxHeaderBytes    = 32 << 10
)

// Options are what a Server shows and where. Every field without a default
// must be set.
type Options struct {
	Config      Config
	Feed        *feed.Store
	Leaderboard *leaderboard.Store

	// Backlog returns one Queue for each handler and topic, in any order.
	Backlog func(ctx context.Context) ([]Queue, error)

	// Outbox returns what waits for a relay.
	Outbox func(ctx context.Context) (Outbox, error)

	// Ready tells whether the worker can serve; see ReadyReport.
	Ready func(ctx context.Context) ReadyReport

	// Metrics answers GET /metrics in the Prometheus text format.
	Metrics http.Handler

	// Logger takes one line for each request that failed on the server's
	// side. Defaults to no log.
	Logger *slog.Logger

	// Now is the clock of "3 hours ago". Defaults to time.Now.
	Now func() time.Time
}

func (o *Options) complete() error {
	switch {
	case o.Feed == nil:
		return errors.New("web: Options.Feed is missing")
	case o.Leaderboard == nil:
		return errors.New("web: Options.Leaderboard is missing")
	case o.Backlog == nil:
		return errors.New("web: Options.Backlog is missing")
	case o.Outbox == nil:
		return errors.New("web: Options.Outbox is missing")
	case o.Ready == nil:
		return errors.New("web: Options.Ready is missing")
	case o.Metrics == nil:
		return errors.New("web: Options.Metrics is missing")
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	if err := o.Config.Validate(); err != nil {
		return fmt.Errorf("web: %w", err)
	}
	return nil
}

// Server serves the pages, the API and the probes on one listener.
type Server struct {
	opts     Options
	assets   assets
	pages    pages
	listener net.Listener
	hosts    hosts
	http     *http.Server
}

// New binds the address and prepares everything that can fail, so that a taken
// port or a wrong option is known before anything runs. The caller then runs
// Serve, and calls Shutdown in any case, also when Serve was never run.
func New(opts Options) (*Server, error) {
	if err := opts.complete(); err != nil {
		return nil, err
	}
	s := &Server{opts: opts}
	var err error
	if s.assets, err = loadAssets(); err != nil {
		return nil, fmt.Errorf("web: load assets: %w", err)
	}
	if s.pages, err = parsePages(); err != nil {
		return nil, fmt.Errorf("web: parse templates: %w", err)
	}
	s.http = &http.Server{
		Handler:           s.routes(),
		ReadHeaderTimeout: readHeaderTimeout,
		ReadTimeout:       readTimeout,
		WriteTimeout:      writeTimeout,
		IdleTimeout:       idleTimeout,
		MaxHeaderBytes:    maxHeaderBytes,
		ErrorLog:          slog.NewLogLogger(opts.Logger.Handler(), slog.LevelWarn),
	}
	if s.listener, err = listen(opts.Config.Listen); err != nil {
		return nil, err
	}
	s.hosts = newHosts(s.listener.Addr(), opts.Config.Hosts)
	return s, nil
}

func listen(addr string) (net.Listener, error) {
	l, err := net.Listen("tcp", addr)
	if errors.Is(err, syscall.EADDRINUSE) {
		return nil, fmt.Errorf("web: %s is already in use by another program; set web.listen to a free address", addr)
	}
	if err != nil {
		return nil, fmt.Errorf("web: listen: %w", err)
	}
	return l, nil
}

// Addr is the address that is served, with the real port where Config said 0.
func (s *Server) Addr() string { return s.listener.Addr().String() }

// Serve answers requests until Shutdown is called, and then returns nil at
// once, while Shutdown waits for the requests under way. Any other end is an
// error.
func (s *Server) Serve() error {
	if err := s.http.Serve(s.listener); !errors.Is(err, http.ErrServerClosed) {
		return fmt.Errorf("web: serve: %w", err)
	}
	return nil
}

// Shutdown stops taking requests and waits for those under way. When ctx ends
// first, it cuts them off and says so.
func (s *Server) Shutdown(ctx context.Context) error {
	err := s.http.Shutdown(ctx)
	// Only Serve makes the http.Server know the listener.
	_ = s.listener.Close()
	if err != nil {
		_ = s.http.Close()
		return fmt.Errorf("web: requests were cut off at shutdown: %w", err)
	}
	return nil
}
