package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"time"
)

// server is a handler at an address.
type server struct {
	http    *http.Server
	address string
	killed  bool
	done    chan error
}

// listen begins to serve. The caller ends it by stop or by kill.
func listen(address string, h http.Handler) (*server, error) {
	l, err := net.Listen("tcp", address)
	if err != nil {
		return nil, fmt.Errorf("listening at %s: %w", address, err)
	}
	s := &server{http: &http.Server{Handler: h, ReadHeaderTimeout: 5 * time.Second}, address: l.Addr().String(), done: make(chan error, 1)}
	go func() { s.done <- s.http.Serve(l) }()
	return s, nil
}

func (s *server) url() string { return "http://" + s.address }

// stop lets the requests under way finish.
func (s *server) stop() error {
	ctx, cancel := context.WithTimeout(context.Background(), stopWithin)
	defer cancel()
	return s.ended(s.http.Shutdown(ctx))
}

// kill breaks off what is under way, as when a service dies.
func (s *server) kill() error {
	if s.killed {
		return nil
	}
	s.killed = true
	return s.ended(s.http.Close())
}

func (s *server) ended(err error) error {
	if served := <-s.done; !errors.Is(served, http.ErrServerClosed) {
		err = errors.Join(err, served)
	}
	return err
}

// serve serves until ctx ends.
func serve(ctx context.Context, address string, h http.Handler, out io.Writer) error {
	s, err := listen(address, h)
	if err != nil {
		return err
	}
	fmt.Fprintf(out, "serving at %s/\n", s.url())
	select {
	case <-ctx.Done():
		return s.stop()
	case err := <-s.done:
		return fmt.Errorf("serving at %s: %w", address, err)
	}
}
