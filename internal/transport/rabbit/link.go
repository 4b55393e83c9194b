package rabbit

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"sync"
	"sync/atomic"
	"time"

	amqp "github.com/rabbitmq/amqp091-go"

	"github.com/answerfeed/answerfeed/internal/transport"
)

const (
	// dialPause is between two rounds of tries, doubling to maxDialPause.
	dialPause, maxDialPause = 50 * time.Millisecond, time.Second
	// hangUpWithin is how long an orderly end of a connection may take. A
	// broker in alarm reads nothing, not even a good-bye.
	hangUpWithin = 2 * time.Second
)

var errBroke = errors.New("the connection to the broker broke")

// link is one connection to the broker that is made again whenever it breaks.
// watermill-amqp's ConnectionWrapper has data races between reconnecting and
// reading the connection, and takes a single URL.
type link struct {
	cfg  Config
	role string // told to the broker, and in logs
	tls  *tls.Config

	mu      sync.Mutex
	conn    *amqp.Connection
	raw     net.Conn         // below conn
	since   time.Time        // when conn was made
	blocked string           // why the broker takes no messages, or ""
	learned sizes            // of conn
	left    *amqp.Connection // for another URL
	at      int              // which URL is tried first: that of conn, or a better one
	changed chan struct{}    // closed at the next change of conn
	last    error            // of dialling

	givenUp atomic.Bool // nobody waits for the first connection any more

	ctx    context.Context //nolint:containedctx // the link's own life
	cancel context.CancelFunc
	done   chan struct{}
}

// newLink dials until it has a connection, at most for ConnectTimeout, and
// then keeps it.
func newLink(ctx context.Context, cfg Config, role string) (*link, error) {
	t, err := cfg.tls()
	if err != nil {
		return nil, err
	}
	l := &link{cfg: cfg, role: role, tls: t, changed: make(chan struct{}), done: make(chan struct{})}
	l.ctx, l.cancel = context.WithCancel(context.WithoutCancel(ctx))
	go l.run()
	first, cancel := context.WithTimeout(ctx, cfg.ConnectTimeout)
	defer cancel()
	if _, err := l.get(first); err != nil {
		last := l.lastError() // before the try that is under way is cut short
		l.givenUp.Store(true)
		l.close()
		if ctx.Err() == nil { // the last try may have told more
			if last == nil {
				last = l.lastError()
			}
			if last != nil {
				err = last
			}
			err = fmt.Errorf("no connection within %s: %w", cfg.ConnectTimeout, err)
		}
		return nil, fmt.Errorf("connecting to %s: %w", host(cfg.URLs[0]), err)
	}
	return l, nil
}

// get returns the connection, waiting for it as long as ctx allows.
func (l *link) get(ctx context.Context) (*amqp.Connection, error) {
	for {
		l.mu.Lock()
		conn, changed := l.conn, l.changed
		l.mu.Unlock()
		if conn != nil {
			return conn, nil
		}
		select {
		case <-changed:
		case <-l.ctx.Done():
			return nil, transport.ErrClosed
		case <-ctx.Done():
			return nil, errors.Join(ctx.Err(), l.lastError())
		}
	}
}

// settled waits until there is a connection of that age.
func (l *link) settled(ctx context.Context, age time.Duration) error {
	for {
		if _, err := l.get(ctx); err != nil {
			return err
		}
		l.mu.Lock()
		there, left := l.conn != nil, time.Until(l.since.Add(age))
		l.mu.Unlock()
		if there && left <= 0 {
			return nil
		}
		sleep(ctx, left)
	}
}

// lastError is why the last try to connect failed, or that the connection broke.
func (l *link) lastError() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.last
}

// blockedBy is why the broker takes no messages now, "" when it takes them.
func (l *link) blockedBy() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.blocked
}

func (l *link) set(conn *amqp.Connection, raw net.Conn, err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.conn, l.raw, l.last, l.blocked, l.since, l.learned = conn, raw, err, "", time.Now(), sizes{}
	if err == nil {
		close(l.changed)
		l.changed = make(chan struct{})
	}
}

func (l *link) run() {
	defer close(l.done)
	pause, silent, first := dialPause, false, true
	for l.ctx.Err() == nil {
		conn, raw, err := l.dial()
		if err != nil {
			l.set(nil, nil, err)
			if !silent {
				silent = true
				l.cfg.Logger.Error("the broker is away; trying again", "connection", l.role, "error", err)
			}
			select {
			case <-l.ctx.Done():
			case <-time.After(pause):
			}
			pause = min(2*pause, maxDialPause)
			continue
		}
		if !first || silent {
			l.cfg.Logger.Info("connected to the broker", "connection", l.role)
		}
		pause, silent, first = dialPause, false, false
		l.hold(conn, raw)
		sleep(l.ctx, dialPause) // a broker may hang up at once, again and again
	}
}

// hold keeps a connection until it breaks or the link is closed.
func (l *link) hold(conn *amqp.Connection, raw net.Conn) {
	closed := conn.NotifyClose(make(chan *amqp.Error, 1))
	blockings := conn.NotifyBlocked(make(chan amqp.Blocking, 1))
	l.set(conn, raw, nil)
	defer l.set(nil, nil, errBroke)
	for {
		select {
		case err := <-closed:
			if err != nil && !l.wasLeft(conn) {
				l.cfg.Logger.Warn("the connection to the broker broke", "connection", l.role, "error", err)
			}
			return
		case b, ok := <-blockings:
			if !ok {
				blockings = nil
				continue
			}
			l.mu.Lock()
			l.blocked = ""
			if b.Active {
				l.blocked = b.Reason
			}
			l.mu.Unlock()
			l.cfg.Logger.Warn("the broker said whether it takes messages", "connection", l.role, "takes", !b.Active, "reason", b.Reason)
		case <-l.ctx.Done():
			hangUp(conn, raw)
			return
		}
	}
}

// breakOff ends a connection by force: whoever waits for the broker's answer
// on it waits no more.
func (l *link) breakOff(conn *amqp.Connection) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.conn == conn && l.raw != nil {
		_ = l.raw.Close()
	}
}

// leave ends a connection to one URL by force, and makes the next to another.
func (l *link) leave(from, to int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.at != from {
		return
	}
	l.at = to
	if l.raw != nil {
		l.left = l.conn
		_ = l.raw.Close()
	}
}

// wasLeft says that a connection broke because it was left.
func (l *link) wasLeft(conn *amqp.Connection) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.left == conn
}

// url is the URL of the connection, or the one that is tried first.
func (l *link) url() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.at
}

func (l *link) prefer(url int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.at = url
}

// host is where the connection goes.
func (l *link) host() string { return host(l.cfg.URLs[l.url()]) }

// hangUp ends a connection in order, or else by force.
func hangUp(conn *amqp.Connection, raw net.Conn) {
	force := time.AfterFunc(hangUpWithin, func() { _ = raw.Close() })
	defer force.Stop()
	_ = conn.Close()
}

// close ends the link, within hangUpWithin.
func (l *link) close() {
	l.cancel()
	<-l.done
}
