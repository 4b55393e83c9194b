package bench_test

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/ThreeDotsLabs/watermill/message"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/answerfeed/answerfeed/app"
	"github.com/answerfeed/answerfeed/app/database"
	"github.com/answerfeed/answerfeed/app/event"
	"github.com/answerfeed/answerfeed/app/outbox"
	"github.com/answerfeed/answerfeed/config"
	"github.com/answerfeed/answerfeed/handlers"
	"github.com/answerfeed/answerfeed/internal/bench"
	"github.com/answerfeed/answerfeed/internal/testserver"
)

// Servers that start with the first test that asks for them. The broker is the
// tests' own, since they ask it for all that it has.
var (
	postgres = sync.OnceValues(func() (*testserver.Postgres, error) {
		return testserver.SharedPostgres(context.Background())
	})
	broker = sync.OnceValues(func() (*testserver.RabbitMQ, error) {
		return testserver.StartRabbitMQ(context.Background())
	})
)

func TestMain(m *testing.M) {
	code := m.Run()
	var errs []error
	if server, err := postgres(); err == nil {
		errs = append(errs, server.Stop())
	}
	if server, err := broker(); err == nil {
		errs = append(errs, server.Stop())
	}
	if code == 0 {
		errs = append(errs, goleak.Find())
	}
	if err := errors.Join(errs...); err != nil {
		fmt.Fprintln(os.Stderr, err)
		code = 1
	}
	os.Exit(code)
}

// user is somebody who has a worker, with a message in each queue and an event
// in the outbox, and lets the bench run beside it.
type user struct {
	config config.Config
	rabbit *testserver.RabbitMQ // nil: SQL
}

// onEach runs a test for a user of each transport.
func onEach(t *testing.T, test func(t *testing.T, u user)) {
	t.Run("sqlite", func(t *testing.T) { test(t, onSQLite(t)) })
	t.Run("postgres", func(t *testing.T) { test(t, onPostgres(t)) })
	t.Run("rabbitmq", func(t *testing.T) { test(t, onRabbit(t)) })
}

func onSQLite(t *testing.T) user {
	t.Helper()
	file := filepath.Join(t.TempDir(), "user.db")
	return newUser(t, nil, map[string]any{"transport.sql.dsn": file, "database.dsn": file})
}

func onPostgres(t *testing.T) user {
	t.Helper()
	server, err := postgres()
	require.NoError(t, err)
	dsn, err := server.Database(t.Context())
	require.NoError(t, err)
	return newUser(t, nil, map[string]any{
		"transport.sql.driver": "postgres", "transport.sql.dsn": dsn, "database.driver": "postgres", "database.dsn": dsn,
	})
}

func onRabbit(t *testing.T) user {
	t.Helper()
	server, err := broker()
	require.NoError(t, err)
	t.Cleanup(func() {
		if t.Failed() {
			t.Log("the broker's log:\n" + server.Log())
		}
	})
	return newUser(t, server, map[string]any{
		"transport.kind": "amqp", "transport.amqp.url": server.URL, "transport.amqp.connect_timeout": "1s",
		"transport.prefix": strings.ToLower(fmt.Sprintf("%.10s-", strings.NewReplacer("/", "-", "TestRun_", "").Replace(t.Name()))),
		"database.dsn":     filepath.Join(t.TempDir(), "user.db"),
	})
}

func newUser(t *testing.T, rabbit *testserver.RabbitMQ, settings map[string]any) user {
	t.Helper()
	all := map[string]any{"web.listen": "127.0.0.1:0", "handlers.feed.concurrency": 100}
	maps.Copy(all, settings)
	loaded, err := config.Load(config.Options{Environ: []string{}, Handlers: app.Declare(handlers.All()), Overrides: all})
	require.NoError(t, err)
	u := user{config: loaded.Config, rabbit: rabbit}
	u.open(t, func(c *app.Client) {
		payload, err := event.AnswerAdded{AnswerID: "a", QuestionID: "q", OccurredAt: time.Now()}.Encode()
		require.NoError(t, err)
		m := message.NewMessage("mine", payload)
		m.SetContext(t.Context())
		require.NoError(t, c.Publisher().Publish(event.TopicAnswerAdded, m))
	})
	db := u.database(t)
	require.NoError(t, db.Update(t.Context(), database.Durable, func(ctx context.Context, tx *sql.Tx) error {
		return outbox.Publish(ctx, tx, event.TopicAnswerAdded, event.AnswerAdded{AnswerID: "b", QuestionID: "q", OccurredAt: time.Now()})
	}))
	require.NoError(t, db.Close())
	return u
}

func quiet() *slog.Logger { return slog.New(slog.DiscardHandler) }

// open looks through the user's own client.
func (u user) open(t *testing.T, look func(*app.Client)) {
	t.Helper()
	c, err := app.Open(t.Context(), app.Options{Config: u.config, Handlers: handlers.All(), Logger: quiet()})
	require.NoError(t, err)
	look(c)
	require.NoError(t, c.Close())
}

func (u user) database(t *testing.T) *database.DB {
	t.Helper()
	db, err := database.Open(t.Context(), database.Config(u.config.Database))
	require.NoError(t, err)
	return db
}

// has is every table with the number of its rows, every queue and every
// exchange that there is, and what waits in the user's queues.
func (u user) has(t *testing.T) []string {
	t.Helper()
	var found []string
	db := u.database(t)
	query := `SELECT name FROM sqlite_master WHERE type IN ('table', 'index', 'view', 'trigger') ORDER BY name`
	counted := `SELECT name FROM sqlite_master WHERE type = 'table' ORDER BY name`
	if u.config.Database.Driver == database.Postgres {
		query = `SELECT relname FROM pg_class WHERE relnamespace = current_schema()::regnamespace ORDER BY relname`
		counted = `SELECT tablename FROM pg_tables WHERE schemaname = current_schema() ORDER BY tablename`
	}
	found = append(found, names(t, db, query)...)
	for _, table := range names(t, db, counted) {
		var rows int
		require.NoError(t, db.Read().QueryRowContext(t.Context(), `SELECT count(*) FROM "`+table+`"`).Scan(&rows))
		found = append(found, fmt.Sprintf("%s: %d rows", table, rows))
	}
	require.NoError(t, db.Close())
	u.open(t, func(c *app.Client) {
		all, err := c.Backlog(t.Context())
		require.NoError(t, err)
		for _, q := range all {
			found = append(found, fmt.Sprintf("%s.%s: %d ready, %d dead", q.Topic, q.Handler, q.Ready+q.InFlight+q.Delayed, q.Dead))
		}
	})
	if u.rabbit != nil {
		const list = `{[N || {resource, _, _, N} <- rabbit_amqqueue:list_names()], [element(4, element(2, X)) || X <- rabbit_exchange:list(<<"/">>)]}.`
		out, err := u.rabbit.Ctl(t.Context(), "eval", list)
		require.NoError(t, err)
		var there []string
		for _, name := range regexp.MustCompile(`<<"([^"]+)">>`).FindAllStringSubmatch(out, -1) {
			if strings.Contains(name[1], "bench-") || strings.HasPrefix(name[1], u.config.Transport.Prefix) {
				there = append(there, name[1])
			}
		}
		require.Contains(t, there, u.config.Transport.Prefix+"answer-added.feed", "the list is one")
		slices.Sort(there)
		found = append(found, there...)
	}
	return found
}

func names(t *testing.T, db *database.DB, query string) (all []string) {
	t.Helper()
	rows, err := db.Read().QueryContext(t.Context(), query)
	require.NoError(t, err)
	defer rows.Close()
	for rows.Next() {
		var name string
		require.NoError(t, rows.Scan(&name))
		all = append(all, name)
	}
	require.NoError(t, rows.Err())
	return all
}

// bench runs one measurement of the user's.
func (u user) bench(ctx context.Context, s bench.Settings, change ...func(*bench.Options)) (*bench.Report, error) {
	o := bench.Options{Config: u.config, Settings: s, Logger: quiet()}
	for _, f := range change {
		f(&o)
	}
	return bench.Run(ctx, o)
}

// when calls do once, when the bench says that it does this, and has begun.
func when(what string, do func()) func(*bench.Options) {
	var once sync.Once
	return func(o *bench.Options) {
		o.Progress = func(doing string, done, _ int) {
			if strings.Contains(doing, what) && (done > 0 || strings.Contains(doing, "making")) {
				once.Do(do)
			}
		}
	}
}
