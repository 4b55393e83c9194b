package rabbit

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"strconv"
	"strings"
	"sync"
	"time"

	amqp "github.com/rabbitmq/amqp091-go"
)

const (
	// dialWithin bounds TCP's part of a try at one URL.
	dialWithin = 3 * time.Second
	// greetWithin bounds each of the broker's answers until it has let us in:
	// on a slow line there may be many.
	greetWithin = 5 * time.Second
	// partingWithin is how long a broker's last word is waited for: with TLS
	// 1.3 it refuses a certificate only after the handshake.
	partingWithin = 100 * time.Millisecond
)

var errNotLetIn = errors.New("connected, and the broker had not let us in by then")

// dial tries each URL once, first the one that is preferred.
func (l *link) dial() (*amqp.Connection, net.Conn, error) {
	var errs []error
	first := l.url()
	for n := range l.cfg.URLs {
		i := (first + n) % len(l.cfg.URLs)
		u := l.cfg.URLs[i]
		conn, raw, err := l.dialOne(u)
		if err == nil {
			l.prefer(i)
			return conn, raw, nil
		}
		errs = append(errs, fmt.Errorf("%s: %w", host(u), explainDial(err)))
		if l.ctx.Err() != nil {
			break
		}
	}
	return nil, nil, errors.Join(errs...)
}

// dialOne does the TLS itself, below what amqp091 knows of: so it sees why a
// broker hung up, of which amqp091 may keep no more than that it did.
func (l *link) dialOne(u string) (*amqp.Connection, net.Conn, error) {
	uri, err := amqp.ParseURI(u)
	if err != nil {
		return nil, nil, err
	}
	var g *greeting
	hangUp := func() bool { return true }
	conn, err := amqp.DialConfig(strings.Replace(u, "amqps://", "amqp://", 1), amqp.Config{
		Heartbeat:  l.cfg.Heartbeat,
		Properties: amqp.Table{"connection_name": l.cfg.Name + " " + l.role},
		Dial: func(string, string) (net.Conn, error) {
			raw, err := l.dialTCP(uri)
			if err != nil {
				return nil, err
			}
			g = &greeting{Conn: raw, read: make(chan struct{})}
			// Closing the link does not wait long for a slow broker to let us in,
			// and not at all when the wait for the first connection is over.
			hangUp = context.AfterFunc(l.ctx, func() {
				if l.givenUp.Load() {
					_ = raw.Close()
					return
				}
				time.AfterFunc(hangUpWithin, func() { _ = raw.Close() })
			})
			return g, nil
		},
	})
	hangUp() // not any more
	if err == nil {
		raw := g.Conn
		if secure, ok := raw.(*tls.Conn); ok { // closing that one may wait for the broker
			raw = secure.NetConn()
		}
		return conn, raw, nil
	}
	if g != nil {
		_ = g.Close()
		err = g.explain(err)
		if l.ctx.Err() != nil { // that we hung up is not why
			err = errNotLetIn
		}
	}
	return nil, nil, err
}

// explain prefers why reading ended to what amqp091 made of it, and says what
// a broker means that hangs up on TLS without a word.
func (g *greeting) explain(err error) error {
	g.mu.Lock()
	cause, heard := g.err, g.heard
	g.mu.Unlock()
	_, refused := errors.AsType[tls.AlertError](cause)
	if refused || cause != nil && errors.Is(err, amqp.ErrClosed) {
		err = cause
	}
	if _, secure := g.Conn.(*tls.Conn); secure && !refused && !heard {
		return fmt.Errorf("the broker hung up after the TLS handshake, as it does without a certificate that it accepts; check cert and key: %w", err)
	}
	return err
}

func (l *link) dialTCP(uri amqp.URI) (net.Conn, error) {
	ctx, cancel := context.WithTimeout(l.ctx, dialWithin)
	defer cancel()
	raw, err := (&net.Dialer{}).DialContext(ctx, "tcp", net.JoinHostPort(uri.Host, strconv.Itoa(uri.Port)))
	if err != nil || uri.Scheme != "amqps" {
		return raw, err
	}
	cfg := l.tls.Clone()
	if cfg.ServerName == "" {
		cfg.ServerName = uri.Host
	}
	// Two answers: the broker's half of the handshake, and what may follow.
	ctx, cancel = context.WithTimeout(l.ctx, 2*greetWithin)
	defer cancel()
	secure := tls.Client(raw, cfg)
	if err := secure.HandshakeContext(ctx); err != nil {
		return nil, errors.Join(err, raw.Close())
	}
	return secure, nil
}

// greeting is a connection until the broker has let us in: it bounds each
// wait, and keeps the error that ended reading.
type greeting struct {
	net.Conn

	mu    sync.Mutex
	over  bool
	heard bool          // the broker has said something
	err   error         // that ended reading
	read  chan struct{} // closed with err
}

// Read waits for one answer of the broker.
func (g *greeting) Read(b []byte) (int, error) {
	if !g.prolong() {
		return g.Conn.Read(b)
	}
	n, err := g.Conn.Read(b)
	g.mu.Lock()
	defer g.mu.Unlock()
	g.heard = g.heard || n > 0
	if err != nil && g.err == nil {
		g.err = err
		close(g.read)
	}
	return n, err
}

func (g *greeting) prolong() bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	if !g.over {
		_ = g.Conn.SetDeadline(time.Now().Add(greetWithin)) // fails when closed, as what follows does
	}
	return !g.over
}

// SetDeadline is how amqp091 says that the broker has let us in; from then on
// it sets the deadlines of the heartbeat.
func (g *greeting) SetDeadline(t time.Time) error {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.over = true
	return g.Conn.SetDeadline(t)
}

// Close hears the broker out first, when it is amid the greeting.
func (g *greeting) Close() error {
	g.mu.Lock()
	hear := !g.over
	g.over = true
	g.mu.Unlock()
	if hear {
		select {
		case <-g.read:
		case <-time.After(partingWithin):
		}
	}
	return g.Conn.Close()
}
