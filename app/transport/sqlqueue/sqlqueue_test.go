package sqlqueue_test

import (
	"context"
	"database/sql"
	"log/slog"
	"net/url"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/ThreeDotsLabs/watermill"
	"github.com/ThreeDotsLabs/watermill/message"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/answerfeed/answerfeed/app/database"
	"github.com/answerfeed/answerfeed/app/transport"
	"github.com/answerfeed/answerfeed/app/transport/sqlqueue"
	"github.com/answerfeed/answerfeed/app/transport/transporttest"
)

func TestMain(m *testing.M) {
	transporttest.Child(func(path string, s transporttest.Settings) (transport.Transport, error) {
		db, err := database.Open(context.Background(), config(path))
		if err != nil {
			return nil, err
		}
		return sqlqueue.New(db, settings(s))
	})
	goleak.VerifyTestMain(m)
}

func config(path string) database.Config {
	return database.Config{Driver: database.SQLite, DSN: path}
}

func settings(s transporttest.Settings) sqlqueue.Config {
	return sqlqueue.Config{
		Prefix: s.Prefix, Lease: s.Lease, NackPause: s.NackPause,
		Logger: slog.New(slog.DiscardHandler),
	}
}

func TestConformance(t *testing.T) {
	transporttest.Run(t, transporttest.Harness{Start: func(t *testing.T, _ bool) transporttest.Broker {
		path := filepath.Join(t.TempDir(), "queue.db")
		var stop []func()
		other := sync.OnceValue(func() *sql.Conn { return raw(t, path) })
		return transporttest.Broker{
			Open: func(t *testing.T, s transporttest.Settings) transport.Transport {
				q, db := open(t, path, settings(s))
				stop = append(stop, func() {
					require.NoError(t, q.Close())
					require.NoError(t, db.Close())
				})
				return q
			},
			Address: path,
			Restart: func(*testing.T) {
				for _, f := range stop {
					f()
				}
				stop = nil
			},
			ExpireClaims: func(t *testing.T) {
				exec(t, other(), `UPDATE queue_messages SET due_at = 0 WHERE token <> 0`)
			},
			Ages: true,
		}
	}})
}

const (
	topic    = "answer-added"
	patience = 60 * time.Second
	long     = time.Hour
)

var feed = transport.Subscription{Topic: topic, Handler: "feed"}

// open opens the file as a process does. Both are closed when the test ends.
func open(t testing.TB, path string, cfg sqlqueue.Config) (*sqlqueue.Transport, *database.DB) {
	t.Helper()
	db, err := database.Open(t.Context(), config(path))
	require.NoError(t, err)
	q, err := sqlqueue.New(db, cfg)
	require.NoError(t, err)
	t.Cleanup(func() {
		require.NoError(t, q.Close())
		require.NoError(t, db.Close())
	})
	return q, db
}

// start opens a new file with the queue answer-added.feed.
func start(t testing.TB, cfg sqlqueue.Config) (q *sqlqueue.Transport, db *database.DB, path string) {
	t.Helper()
	path = filepath.Join(t.TempDir(), "queue.db")
	q, db = open(t, path, cfg)
	require.NoError(t, q.Migrate(t.Context(), []transport.Subscription{feed}))
	return q, db, path
}

// raw is a connection that knows nothing of the transport, as another program
// would have.
func raw(t testing.TB, path string) *sql.Conn {
	t.Helper()
	db, err := sql.Open("sqlite", "file:"+url.PathEscape(path)+"?_pragma=busy_timeout(10000)")
	require.NoError(t, err)
	conn, err := db.Conn(t.Context())
	require.NoError(t, err)
	t.Cleanup(func() {
		require.NoError(t, conn.Close())
		require.NoError(t, db.Close())
	})
	return conn
}

func exec(t testing.TB, conn *sql.Conn, query string, args ...any) {
	t.Helper()
	_, err := conn.ExecContext(t.Context(), query, args...)
	require.NoError(t, err)
}

func consume(t testing.TB, q *sqlqueue.Transport, window int) <-chan *message.Message {
	t.Helper()
	sub, err := q.Subscriber(transport.Consumer{Subscription: feed, Window: window})
	require.NoError(t, err)
	messages, err := sub.Subscribe(context.WithoutCancel(t.Context()), topic)
	require.NoError(t, err)
	return messages
}

func next(t testing.TB, messages <-chan *message.Message) *message.Message {
	t.Helper()
	select {
	case m, open := <-messages:
		require.True(t, open, "the channel was closed")
		return m
	case <-time.After(patience):
		require.Fail(t, "no message came")
		return nil
	}
}

func publish(t testing.TB, q *sqlqueue.Transport, n int) {
	t.Helper()
	msgs := make([]*message.Message, n)
	for i := range msgs {
		msgs[i] = message.NewMessage(watermill.NewUUID(), []byte(`{"answer_id":"a"}`))
	}
	require.NoError(t, q.Publisher().Publish(topic, msgs...))
}

func backlog(t testing.TB, q *sqlqueue.Transport) transport.Backlog {
	t.Helper()
	all, err := q.Backlog(t.Context())
	require.NoError(t, err)
	require.NotEmpty(t, all)
	all[0].Topic, all[0].Handler, all[0].Oldest = "", "", 0
	return all[0]
}

func eventually(t testing.TB, reached func() bool) {
	t.Helper()
	require.Eventually(t, reached, patience, 2*time.Millisecond)
}
