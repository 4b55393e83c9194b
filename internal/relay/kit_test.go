package relay_test

import (
	"context"
	"crypto/rand"
	"database/sql"
	"fmt"
	"log/slog"
	"maps"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/answerfeed/answerfeed/app/database"
	"github.com/answerfeed/answerfeed/app/outbox"
	"github.com/answerfeed/answerfeed/internal/relay"
	"github.com/answerfeed/answerfeed/internal/testserver"
	"github.com/answerfeed/answerfeed/internal/transport"
	"github.com/answerfeed/answerfeed/internal/transport/rabbit"
	"github.com/answerfeed/answerfeed/internal/transport/sqlqueue"
)

// patience bounds every wait for something that a test cannot be told of.
const patience = 60 * time.Second

// The servers of all tests that do nothing to them, started when the first
// asks for them.
var (
	postgres = sync.OnceValues(func() (*testserver.Postgres, error) { return testserver.SharedPostgres(context.Background()) })
	broker   = sync.OnceValues(func() (*testserver.RabbitMQ, error) { return testserver.SharedRabbitMQ(context.Background()) })
)

func TestMain(m *testing.M) {
	if text := os.Getenv(childVariable); text != "" {
		fmt.Fprintln(os.Stderr, relayWithoutEnd(text))
		os.Exit(1)
	}
	code := m.Run()
	for _, stop := range []func() error{
		func() error { s, _ := postgres(); return s.Stop() },
		func() error { s, _ := broker(); return s.Stop() },
		func() error { return goleak.Find() },
	} {
		if code != 0 {
			break
		}
		if err := stop(); err != nil {
			fmt.Fprintln(os.Stderr, err)
			code = 1
		}
	}
	os.Exit(code)
}

// place is an outbox and a transport, as a process finds them.
type place struct {
	Database database.Config
	URL      string // of RabbitMQ; "" = a queue in the file Path
	Prefix   string
	Path     string
	Lease    time.Duration
	Timeout  time.Duration // of publishing to RabbitMQ; 0 is its default
}

// onEach runs a test on SQLite with the SQL transport, in two files, and on
// PostgreSQL with RabbitMQ.
func onEach(t *testing.T, test func(t *testing.T, p place)) {
	t.Run("SQLite to SQLite", func(t *testing.T) { test(t, onSQLite(t)) })
	t.Run("PostgreSQL to RabbitMQ", func(t *testing.T) { test(t, onBroker(t)) })
}

func onSQLite(t *testing.T) place {
	dir := t.TempDir()
	return place{
		Database: database.Config{Driver: database.SQLite, DSN: filepath.Join(dir, "site.db")},
		Path:     filepath.Join(dir, "queue.db"),
	}
}

func onBroker(t *testing.T) place {
	t.Helper()
	b, err := broker()
	require.NoError(t, err)
	return onPostgres(t, b.URL)
}

func onPostgres(t *testing.T, url string) place {
	t.Helper()
	s, err := postgres()
	require.NoError(t, err)
	dsn, err := s.Database(t.Context())
	require.NoError(t, err)
	return place{
		Database: database.Config{Driver: database.Postgres, DSN: dsn},
		URL:      url, Prefix: strings.ToLower(rand.Text()[:10]) + "-",
	}
}

// open opens both; close closes them.
func (p place) open(ctx context.Context) (db *database.DB, to transport.Transport, closeBoth func(), err error) {
	quiet := slog.New(slog.DiscardHandler)
	if db, err = database.Open(ctx, p.Database); err != nil {
		return nil, nil, nil, err
	}
	if p.URL != "" {
		to, err = rabbit.New(ctx, rabbit.Config{URLs: []string{p.URL}, Prefix: p.Prefix, Logger: quiet, PublishTimeout: p.Timeout})
		return db, to, func() { to.Close(); db.Close() }, err
	}
	queue, err := database.Open(ctx, database.Config{Driver: database.SQLite, DSN: p.Path})
	if err != nil {
		return nil, nil, nil, err
	}
	to, err = sqlqueue.New(queue, sqlqueue.Config{Logger: quiet})
	return db, to, func() { to.Close(); queue.Close(); db.Close() }, err
}

// stage is an opened place whose tables are there.
type stage struct {
	*testing.T
	place
	db *database.DB
	to transport.Transport
	// log is that of the relays.
	log *journal
}

func set(t *testing.T, p place) *stage {
	t.Helper()
	db, to, closeBoth, err := p.open(t.Context())
	require.NoError(t, err)
	t.Cleanup(closeBoth)
	require.NoError(t, db.Migrate(t.Context()))
	require.NoError(t, to.Migrate(t.Context(), nil))
	s := &stage{t, p, db, to, &journal{}}
	t.Cleanup(func() {
		if t.Failed() {
			t.Log(s.log)
		}
	})
	return s
}

// relay runs one until the test ends, or stop is called.
func (s *stage) relay(opts relay.Options) (stop func()) {
	s.Helper()
	opts.DB, opts.Transport = s.db, s.to
	if opts.Logger == nil {
		opts.Logger = s.log.logger()
	}
	r, err := relay.New(opts)
	require.NoError(s, err)
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan struct{})
	go func() { r.Run(ctx); close(ended) }()
	stop = sync.OnceFunc(func() {
		cancel()
		select {
		case <-ended:
		case <-time.After(patience):
			require.Fail(s, "the relay does not end")
		}
	})
	s.Cleanup(stop)
	return stop
}

// told is an event of a topic that the event package does not know.
type told string

// Encode implements outbox.Event.
func (e told) Encode() ([]byte, error) { return fmt.Appendf(nil, `{"told":%q}`, string(e)), nil }

// publish stores the events with these numbers in one transaction.
func (s *stage) publish(topic string, from, to int) {
	s.Helper()
	bytes := `CAST(%s AS BLOB)`
	if s.Database.Driver == database.Postgres {
		bytes = `convert_to(%s, 'UTF8')`
	}
	s.exec(`WITH RECURSIVE n(i) AS (SELECT CAST($1 AS BIGINT) UNION ALL SELECT i + 1 FROM n WHERE i + 1 < $2)
		INSERT INTO outbox (topic, payload) SELECT $3, `+fmt.Sprintf(bytes, `'{"told":"event-' || i || '"}'`)+` FROM n`, from, to, topic)
}

func (s *stage) exec(query string, args ...any) {
	s.Helper()
	require.NoError(s, s.db.Update(s.Context(), database.Durable, func(ctx context.Context, tx *sql.Tx) error {
		_, err := tx.ExecContext(ctx, query, args...)
		return err
	}))
}

// queue makes the sink's queue on the topic.
func (s *stage) queue(topic string) {
	s.Helper()
	require.NoError(s, s.to.Migrate(s.Context(), []transport.Subscription{{Topic: topic, Handler: "sink"}}))
}

// all waits until n events have arrived and the outbox is empty, and returns
// how often each came.
func (s *stage) all(k *sink, n int) (came map[string]int) {
	s.Helper()
	s.arrive(k, n)
	s.waiting(0)
	k.mu.Lock()
	defer k.mu.Unlock()
	require.Len(s, k.came, n)
	require.Empty(s, k.twice, "an event came with two UUIDs")
	return maps.Clone(k.came)
}

// arrive waits until n events have arrived.
func (s *stage) arrive(k *sink, n int) {
	s.Helper()
	require.Eventually(s, func() bool { return k.count() >= n }, patience, 5*time.Millisecond, "%s", k)
}

// logged waits until the relays have logged the text so many times.
func (s *stage) logged(text string, times int) {
	s.Helper()
	require.Eventually(s, func() bool { return s.log.lines(text) == times }, patience, 5*time.Millisecond, text)
}

// waiting waits until so many events are in the outbox.
func (s *stage) waiting(n int64) {
	s.Helper()
	require.Eventually(s, func() bool {
		b, err := outbox.Count(s.Context(), s.db)
		require.NoError(s, err)
		return b.Waiting == n
	}, patience, 5*time.Millisecond)
}

// late stores an event, and commits when it is told to.
func late(begun chan<- struct{}, commit <-chan struct{}) func(context.Context, *sql.Tx) error {
	return func(ctx context.Context, tx *sql.Tx) error {
		err := outbox.Publish(ctx, tx, topic, told("late"))
		close(begun)
		<-commit
		return err
	}
}

// waitFor lets time pass that a test is about.
func waitFor(t *testing.T, d time.Duration) {
	t.Helper()
	select {
	case <-time.After(d):
	case <-t.Context().Done():
	}
}
