package sqlqueue_test

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"log/slog"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/ThreeDotsLabs/watermill"
	"github.com/ThreeDotsLabs/watermill/message"
	"github.com/jackc/pgx/v5/pgconn"
	_ "github.com/jackc/pgx/v5/stdlib"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/answerfeed/answerfeed/app/database"
	"github.com/answerfeed/answerfeed/internal/testserver"
	"github.com/answerfeed/answerfeed/internal/transport"
	"github.com/answerfeed/answerfeed/internal/transport/sqlqueue"
	"github.com/answerfeed/answerfeed/internal/transport/transporttest"
)

// shared is one PostgreSQL for the tests that do nothing to the server.
var shared = sync.OnceValues(func() (*testserver.Postgres, error) {
	return testserver.SharedPostgres(context.Background())
})

func TestMain(m *testing.M) {
	transporttest.Child(func(address string, s transporttest.Settings) (transport.Transport, error) {
		db, err := database.Open(context.Background(), place(address).config())
		if err != nil {
			return nil, err
		}
		return sqlqueue.New(db, settings(s))
	})
	code := m.Run()
	if server, err := shared(); err == nil {
		if err := server.Stop(); err != nil {
			fmt.Fprintln(os.Stderr, err)
			code = 1
		}
	}
	if err := postgres18.stop(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		code = 1
	}
	if err := goleak.Find(); code == 0 && err != nil {
		fmt.Fprintln(os.Stderr, err)
		code = 1
	}
	os.Exit(code)
}

// place is a database that several handles may open, as processes do: the file
// of SQLite, or the DSN of PostgreSQL.
type place string

func (p place) onSQLite() bool { return strings.HasSuffix(string(p), ".db") }

func (p place) config() database.Config {
	if p.onSQLite() {
		return database.Config{Driver: database.SQLite, DSN: string(p)}
	}
	return database.Config{Driver: database.Postgres, DSN: string(p)}
}

func onSQLite(t testing.TB) place { return place(filepath.Join(t.TempDir(), "queue.db")) }

// onPostgres is an empty database on the shared server.
func onPostgres(t testing.TB) place {
	t.Helper()
	server, err := shared()
	require.NoError(t, err)
	return databaseOn(t, server)
}

func databaseOn(t testing.TB, server *testserver.Postgres) place {
	t.Helper()
	dsn, err := server.Database(t.Context())
	require.NoError(t, err)
	return place(dsn)
}

// onBoth runs a test on an empty database of each kind.
func onBoth(t *testing.T, test func(t *testing.T, at place)) {
	t.Helper()
	t.Run("sqlite", func(t *testing.T) { test(t, onSQLite(t)) })
	t.Run("postgres", func(t *testing.T) { test(t, onPostgres(t)) })
}

func settings(s transporttest.Settings) sqlqueue.Config {
	return sqlqueue.Config{
		Prefix: s.Prefix, Lease: s.Lease, NackPause: s.NackPause,
		Logger: slog.New(slog.DiscardHandler),
	}
}

const (
	topic    = "answer-added"
	patience = 60 * time.Second
	long     = time.Hour
)

var feed = transport.Subscription{Topic: topic, Handler: "feed"}

// open opens the database as a process does. Both are closed when the test
// ends.
func open(t testing.TB, at place, cfg sqlqueue.Config) (*sqlqueue.Transport, *database.DB) {
	t.Helper()
	db, err := database.Open(t.Context(), at.config())
	require.NoError(t, err)
	q, err := sqlqueue.New(db, cfg)
	require.NoError(t, err)
	t.Cleanup(func() {
		require.NoError(t, q.Close())
		require.NoError(t, db.Close())
	})
	return q, db
}

// start opens a new database with the queue answer-added.feed.
func start(t testing.TB, at place, cfg sqlqueue.Config) (*sqlqueue.Transport, *database.DB) {
	t.Helper()
	q, db := open(t, at, cfg)
	require.NoError(t, q.Migrate(t.Context(), []transport.Subscription{feed}))
	return q, db
}

// raw is a connection that knows nothing of the transport, as another program
// would have.
func raw(t testing.TB, at place) *sql.Conn {
	t.Helper()
	driver, dsn := "pgx", string(at)
	if at.onSQLite() {
		driver, dsn = "sqlite", "file:"+url.PathEscape(dsn)+"?_pragma=busy_timeout(10000)"
	}
	db, err := sql.Open(driver, dsn)
	require.NoError(t, err)
	conn, err := db.Conn(t.Context())
	require.NoError(t, err)
	t.Cleanup(func() {
		require.NoError(t, conn.Close())
		require.NoError(t, db.Close())
	})
	return conn
}

// exec runs a statement by hand. PostgreSQL may choose it as the victim of a
// deadlock with a running worker; whoever works by hand then repeats it.
func exec(t testing.TB, conn *sql.Conn, query string, args ...any) {
	t.Helper()
	for {
		_, err := conn.ExecContext(t.Context(), query, args...)
		var refused *pgconn.PgError
		if errors.As(err, &refused) && refused.Code == "40P01" {
			continue
		}
		require.NoError(t, err)
		return
	}
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
