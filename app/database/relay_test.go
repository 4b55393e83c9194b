package database_test

import (
	"bytes"
	"context"
	"net"
	"net/url"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/require"
)

// fate is what becomes of a connection at its next COMMIT.
type fate int

const (
	passes    fate = iota
	cutBefore      // the server never sees it
	cutAfter       // the server's answer is lost
	hangs          // nothing comes through any more
)

// relay stands between a database and its server, and sees what is said.
type relay struct {
	dsn    string // as the server's own
	target string

	mu    sync.Mutex
	next  fate
	come  context.CancelFunc // next has come
	wakes int                // further connections that are told that the server is starting up
	trips int                // what the client sent, and waited for
	conns []net.Conn
	all   sync.WaitGroup
}

func startRelay(t *testing.T, dsn string) *relay {
	t.Helper()
	u, err := url.Parse(dsn)
	require.NoError(t, err)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	r := &relay{target: u.Host}
	u.Host = l.Addr().String()
	r.dsn = u.String()
	r.all.Go(func() {
		for {
			client, err := l.Accept()
			if err != nil {
				return
			}
			r.all.Go(func() { r.serve(client) })
		}
	})
	t.Cleanup(func() {
		l.Close()
		r.cut()
		r.all.Wait()
	})
	return r
}

// at decides the fate of the next connection that commits. The context ends
// when that has come.
func (r *relay) at(next fate) context.Context {
	ctx, cancel := context.WithCancel(context.Background())
	r.mu.Lock()
	defer r.mu.Unlock()
	r.next, r.come = next, cancel
	return ctx
}

// cut ends all connections.
func (r *relay) cut() {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, c := range r.conns {
		c.Close()
	}
	r.conns = nil
}

// counted returns how often the client waited for an answer while fn ran.
func (r *relay) counted(fn func()) int {
	r.mu.Lock()
	before := r.trips
	r.mu.Unlock()
	fn()
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.trips - before
}

func (r *relay) serve(client net.Conn) {
	defer client.Close()
	if r.wakesUp() {
		_, _ = client.Read(make([]byte, 1<<10)) // who it is
		_, _ = client.Write(startingUp())
		return
	}
	r.mu.Lock()
	target := r.target
	r.mu.Unlock()
	server, err := net.Dial("tcp", target)
	if err != nil {
		return
	}
	defer server.Close()
	r.mu.Lock()
	r.conns = append(r.conns, client, server)
	r.mu.Unlock()

	var its atomic.Int32 // fate
	is := func(f fate) bool { return fate(its.Load()) == f }
	var back sync.WaitGroup
	back.Go(func() {
		carry(client, server, func([]byte) (end, drop bool) { return is(cutAfter), is(hangs) })
		client.Close()
	})
	carry(server, client, func(sent []byte) (end, drop bool) {
		if f := r.see(sent); f != passes {
			its.Store(int32(f))
		}
		return is(cutBefore), is(hangs)
	})
	server.Close()
	back.Wait()
}

// see counts what a client sends, and tells its fate if it commits.
func (r *relay) see(sent []byte) fate {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.trips++
	if !bytes.Contains(sent, []byte("commit\x00")) {
		return passes
	}
	its := r.next
	r.next = passes
	if its != passes {
		r.come()
	}
	return its
}

// startsUpFor the next so many connections.
func (r *relay) startsUpFor(n int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.wakes = n
}

func (r *relay) wakesUp() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.wakes--
	return r.wakes >= 0
}

// carry copies until it is told to end, or one side closes.
func carry(to, from net.Conn, what func([]byte) (end, drop bool)) {
	buffer := make([]byte, 64<<10)
	for {
		n, err := from.Read(buffer)
		if err != nil {
			return
		}
		end, drop := what(buffer[:n])
		if end {
			return
		}
		if drop {
			continue
		}
		if _, err := to.Write(buffer[:n]); err != nil {
			return
		}
	}
}

// startingUp is the ErrorResponse of a server that is starting up.
func startingUp() []byte {
	fields := "SFATAL\x00VFATAL\x00C57P03\x00Mthe database system is starting up\x00\x00"
	return append([]byte{'E', 0, 0, 0, byte(4 + len(fields))}, fields...)
}

// move makes new connections lead to another server; those that are open stay.
func (r *relay) move(target string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.target = target
}
