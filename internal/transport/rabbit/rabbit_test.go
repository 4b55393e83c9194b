package rabbit_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/ThreeDotsLabs/watermill/message"
	amqp "github.com/rabbitmq/amqp091-go"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/answerfeed/answerfeed/internal/testserver"
	"github.com/answerfeed/answerfeed/internal/transport"
	"github.com/answerfeed/answerfeed/internal/transport/rabbit"
	"github.com/answerfeed/answerfeed/internal/transport/transporttest"
)

// patience is how long an event may take before a test fails.
const patience = 30 * time.Second

// lazy is a broker that starts with the first test that asks for it.
type lazy struct {
	once   sync.Once
	start  func() (*testserver.RabbitMQ, error)
	server *testserver.RabbitMQ
	err    error
}

// shared is for tests that do nothing to the broker itself; each has its own
// prefix. rough is for those that do, one after the other.
var (
	shared = &lazy{start: func() (*testserver.RabbitMQ, error) { return testserver.SharedRabbitMQ(context.Background()) }}
	rough  = &lazy{start: startWithTLS}
)

func (l *lazy) get(t testing.TB) *testserver.RabbitMQ {
	t.Helper()
	l.once.Do(func() { l.server, l.err = l.start() })
	require.NoError(t, l.err)
	return l.server
}

func (l *lazy) stop() error {
	if l.server == nil {
		return nil
	}
	return l.server.Stop()
}

func TestMain(m *testing.M) {
	transporttest.Child(func(address string, s transporttest.Settings) (transport.Transport, error) {
		url, prefix, _ := strings.Cut(address, " ")
		return rabbit.New(context.Background(), settings(url, prefix, s))
	})
	code := m.Run()
	err := errors.Join(shared.stop(), rough.stop(), stopVersions(), stopImpatient(), certificates.remove())
	if code == 0 {
		err = errors.Join(err, goleak.Find())
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		code = 1
	}
	os.Exit(code)
}

func settings(url, prefix string, s transporttest.Settings) rabbit.Config {
	return rabbit.Config{
		URLs: []string{url}, Prefix: prefix + s.Prefix, NackPause: s.NackPause, Logger: slog.New(slog.DiscardHandler),
	}
}

var rows atomic.Int64

// prefix is one that no other test has, nor another run on the same broker.
func prefix() string { return fmt.Sprintf("t%d-%d-", os.Getpid(), rows.Add(1)) }

func TestConformance(t *testing.T) {
	transporttest.Run(t, transporttest.Harness{Start: func(t *testing.T, own bool) transporttest.Broker {
		var server *testserver.RabbitMQ
		prefix := prefix()
		if own {
			var err error
			server, err = testserver.StartRabbitMQ(t.Context())
			require.NoError(t, err)
			t.Cleanup(func() { require.NoError(t, server.Stop()) })
		} else {
			server = shared.get(t)
		}
		again := func(t *testing.T) {
			server.Kill()
			require.NoError(t, server.Start(t.Context()))
		}
		return transporttest.Broker{
			Open: func(t *testing.T, s transporttest.Settings) transport.Transport {
				return open(t, settings(server.URL, prefix, s))
			},
			Address: server.URL + " " + prefix,
			Restart: again,
			Kill:    again,
			Holds:   true,
		}
	}})
}

// The names that most tests use.
const topic = "answer-added"

func subscription() transport.Subscription {
	return transport.Subscription{Topic: topic, Handler: "feed"}
}

func open(t testing.TB, cfg rabbit.Config) *rabbit.Transport {
	t.Helper()
	r, err := rabbit.New(t.Context(), cfg)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, r.Close()) })
	return r
}

// migrated is an open transport with the usual queue.
func migrated(t testing.TB, cfg rabbit.Config) *rabbit.Transport {
	t.Helper()
	r := open(t, cfg)
	require.NoError(t, r.Migrate(t.Context(), []transport.Subscription{subscription()}))
	return r
}

func consume(t testing.TB, r *rabbit.Transport, window int) <-chan *message.Message {
	t.Helper()
	sub, err := r.Subscriber(transport.Consumer{Subscription: subscription(), Window: window})
	require.NoError(t, err)
	ch, err := sub.Subscribe(context.WithoutCancel(t.Context()), topic)
	require.NoError(t, err)
	return ch
}

func next(t testing.TB, ch <-chan *message.Message) *message.Message {
	t.Helper()
	select {
	case m, open := <-ch:
		require.True(t, open, "the channel was closed")
		return m
	case <-time.After(patience):
		require.Fail(t, "no message came")
		return nil
	}
}

// bare is a channel of amqp091 without anything around it.
func bare(t testing.TB, url string) *amqp.Channel {
	t.Helper()
	conn, err := amqp.Dial(url)
	require.NoError(t, err)
	t.Cleanup(func() { conn.Close() })
	ch, err := conn.Channel()
	require.NoError(t, err)
	return ch
}

// within returns how long do took, and fails the test when it hangs.
func within(t testing.TB, limit time.Duration, do func()) time.Duration {
	t.Helper()
	began, done := time.Now(), make(chan struct{})
	go func() { defer close(done); do() }()
	select {
	case <-done:
	case <-time.After(limit):
		require.Fail(t, "it takes too long", "more than %s", limit)
	}
	return time.Since(began)
}
