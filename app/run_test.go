package app_test

import (
	"context"
	"crypto/rand"
	"io"
	"net"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/answerfeed/answerfeed/app"
	"github.com/answerfeed/answerfeed/config"
	"github.com/answerfeed/answerfeed/handlers"
	"github.com/answerfeed/answerfeed/internal/testserver"
)

// A server dies at some moment of a start, and is back at once: the start is
// made again and ends well. The moments are spread over all that a start says
// to the server.
func TestRun_ServerDiesDuringTheStart(t *testing.T) {
	t.Parallel()
	const moments = 10
	t.Run("PostgreSQL", func(t *testing.T) {
		t.Parallel()
		shared, err := testserver.SharedPostgres(t.Context())
		require.NoError(t, err)
		t.Cleanup(func() { require.NoError(t, shared.Stop()) })
		cutStarts(t, moments, shared.DSN, func(server *url.URL, log *output) app.Options {
			fresh, err := url.Parse(databaseOf(t, shared))
			require.NoError(t, err)
			server.Path = fresh.Path
			return onPostgres(t, server.String(), log)
		})
	})
	t.Run("RabbitMQ", func(t *testing.T) {
		t.Parallel()
		shared, err := testserver.SharedRabbitMQ(t.Context())
		require.NoError(t, err)
		t.Cleanup(func() { require.NoError(t, shared.Stop()) })
		path := t.TempDir() + "/tables.db"
		cutStarts(t, moments, shared.URL, func(server *url.URL, log *output) app.Options {
			opts := options(t, path, log, handlers.All())
			opts.Config.Transport.Kind = config.KindAMQP
			opts.Config.Transport.AMQP.URL = server.String()
			opts.Config.Transport.Prefix = strings.ToLower(rand.Text()[:10]) + "-"
			return opts
		})
	})
}

// cutStarts makes starts whose connections are cut, each at another moment.
// opts are of a worker for which nothing is there yet.
func cutStarts(t *testing.T, moments int, server string, opts func(server *url.URL, log *output) app.Options) {
	t.Helper()
	between := newCutter(t, server)
	// start returns how much was said until the worker ran.
	start := func(cutAt int64) (said int64) {
		var log output
		u := *between.url
		o := opts(&u, &log)
		before := between.said.Load()
		between.cutAt.Store(0)
		if cutAt > 0 {
			between.cutAt.Store(before + cutAt)
		}
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		ended := make(chan error, 1)
		go func() { ended <- app.Run(ctx, o) }()
		require.Eventually(t, func() bool {
			said = between.said.Load() - before
			return strings.Contains(log.String(), "answerfeed is running") || len(ended) > 0
		}, patience, time.Millisecond)
		cancel()
		require.NoError(t, <-ended, "cut after %d bytes", cutAt)
		require.Contains(t, log.String(), "answerfeed is running", "cut after %d bytes", cutAt)
		require.Zero(t, between.cutAt.Load(), "it was cut")
		return said
	}
	whole := start(0)
	for i := range moments {
		start(1 + whole*int64(i)/int64(moments+1))
	}
}

// cutter passes bytes between clients and a server, and cuts every connection
// once the clients have said so many.
type cutter struct {
	url   *url.URL
	said  atomic.Int64 // by the clients
	cutAt atomic.Int64 // 0 = never

	mu    sync.Mutex
	conns map[net.Conn]bool
}

func newCutter(t *testing.T, server string) *cutter {
	t.Helper()
	u, err := url.Parse(server)
	require.NoError(t, err)
	target := u.Host
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	u.Host = l.Addr().String()
	c := &cutter{url: u, conns: map[net.Conn]bool{}}
	var serving sync.WaitGroup
	serving.Go(func() {
		for {
			client, err := l.Accept()
			if err != nil {
				return
			}
			server, err := net.Dial("tcp", target)
			if err != nil {
				_ = client.Close()
				continue
			}
			c.mu.Lock()
			c.conns[client], c.conns[server] = true, true
			c.mu.Unlock()
			serving.Go(func() { c.pass(server, client, true) })
			serving.Go(func() { c.pass(client, server, false) })
		}
	})
	t.Cleanup(func() {
		_ = l.Close()
		c.cut()
		serving.Wait()
	})
	return c
}

func (c *cutter) cut() {
	c.mu.Lock()
	defer c.mu.Unlock()
	for conn := range c.conns {
		_ = conn.Close()
	}
	clear(c.conns)
}

func (c *cutter) pass(to io.WriteCloser, from io.ReadCloser, count bool) {
	defer to.Close()
	defer from.Close()
	buffer := make([]byte, 32<<10)
	for {
		n, err := from.Read(buffer)
		if n > 0 && count {
			said := c.said.Add(int64(n))
			if at := c.cutAt.Load(); at > 0 && said >= at && c.cutAt.CompareAndSwap(at, 0) {
				c.cut()
				return
			}
		}
		if err != nil {
			return
		}
		if _, err := to.Write(buffer[:n]); err != nil {
			return
		}
	}
}
