package failures

import (
	"bytes"
	"context"
	"crypto/rand"
	"database/sql"
	"io"
	"log/slog"
	"maps"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	_ "github.com/jackc/pgx/v5/stdlib"
	"github.com/stretchr/testify/require"
	_ "modernc.org/sqlite"

	"github.com/answerfeed/answerfeed/app"
	"github.com/answerfeed/answerfeed/config"
	"github.com/answerfeed/answerfeed/handlers"
)

// place is a folder, and the transport and the database that are used there,
// by key of the configuration.
type place struct {
	dir      string
	settings map[string]string
}

// onEach runs a test on every transport, beside one another.
func onEach(t *testing.T, test func(t *testing.T, p place)) {
	t.Run("SQLite", func(t *testing.T) { t.Parallel(); test(t, onSQLite(t)) })
	t.Run("PostgreSQL", func(t *testing.T) { t.Parallel(); test(t, onPostgres(t, newDatabase(t, postgres.get(t)))) })
	t.Run("AMQP", func(t *testing.T) { t.Parallel(); test(t, onAMQP(t, newDatabase(t, postgres.get(t)))) })
}

// onSQLite has queues and tables in one file.
func onSQLite(t testing.TB) place {
	dir := t.TempDir()
	file := filepath.Join(dir, "answerfeed.db")
	return place{dir, map[string]string{"transport.sql.dsn": file, "database.dsn": file}}
}

// onPostgres has queues and tables in one database.
func onPostgres(t testing.TB, dsn string) place {
	return onSQLite(t).with(map[string]string{
		"transport.sql.driver": "postgres", "transport.sql.dsn": dsn,
		"database.driver": "postgres", "database.dsn": dsn,
	})
}

// onAMQP has queues of its own in the shared broker, and tables in PostgreSQL.
func onAMQP(t testing.TB, dsn string) place {
	return onSQLite(t).with(map[string]string{
		"transport.kind": "amqp", "transport.amqp.url": broker.get(t).URL, "transport.prefix": strings.ToLower(rand.Text()[:10]) + "-",
		"database.driver": "postgres", "database.dsn": dsn,
	})
}

// with is the same folder with other settings.
func (p place) with(settings map[string]string) place {
	all := maps.Clone(p.settings)
	maps.Copy(all, settings)
	return place{p.dir, all}
}

func (p place) amqp() bool     { return p.settings["transport.kind"] == "amqp" }
func (p place) postgres() bool { return p.settings["database.driver"] == "postgres" }

// environ is the environment of a process in this place.
func (p place) environ() []string {
	env := os.Environ()
	for key, value := range p.settings {
		env = append(env, "WORKER_"+strings.ToUpper(strings.ReplaceAll(key, ".", "_"))+"="+value)
	}
	return env
}

func (p place) options(t testing.TB, log io.Writer, all []handlers.Handler, change ...func(*config.Config)) app.Options {
	t.Helper()
	overrides := map[string]any{"web.listen": "127.0.0.1:0"}
	for key, value := range p.settings {
		overrides[key] = value
	}
	loaded, err := config.Load(config.Options{Environ: []string{}, Handlers: app.Declare(all), Overrides: overrides})
	require.NoError(t, err)
	for _, f := range change {
		f(&loaded.Config)
	}
	return app.Options{Config: loaded.Config, Handlers: all, Logger: slog.New(app.LogHandler(slog.NewTextHandler(log, nil)))}
}

// open opens the place's queues as another process would, that knows of the
// same handlers with the same settings.
func (p place) open(t testing.TB, all []handlers.Handler, change ...func(*config.Config)) *app.Client {
	t.Helper()
	client, err := app.Open(t.Context(), p.options(t, io.Discard, all, change...))
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, client.Close()) })
	return client
}

// reader reads the place's tables beside the worker, and writes to them where
// a test does what only an outsider would.
func (p place) reader(t testing.TB) *sql.DB {
	t.Helper()
	driver, dsn := "sqlite", "file:"+p.settings["database.dsn"]+"?_pragma=busy_timeout(30000)&_txlock=immediate"
	if p.postgres() {
		driver, dsn = "pgx", p.settings["database.dsn"]
	}
	db, err := sql.Open(driver, dsn)
	require.NoError(t, err)
	t.Cleanup(func() { _ = db.Close() })
	return db
}

// output takes log lines from many goroutines.
type output struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (o *output) Write(p []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.b.Write(p)
}

func (o *output) String() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.b.String()
}

// lines counts those of the log that hold all of the texts.
func lines(log string, texts ...string) (n int) {
	for line := range strings.Lines(log) {
		all := true
		for _, text := range texts {
			all = all && strings.Contains(line, text)
		}
		if all {
			n++
		}
	}
	return n
}

// handler changes the settings of one handler.
func handler(name string, change func(*config.Handler)) func(*config.Config) {
	return func(c *config.Config) {
		h := c.Handlers[name]
		change(&h)
		c.Handlers[name] = h
	}
}

func retries(attempts int, redeliver ...time.Duration) func(*config.Handler) {
	return func(h *config.Handler) {
		h.Retry = config.Retry{Attempts: attempts, Backoff: time.Millisecond, Redeliver: redeliver}
	}
}

func eventually(t testing.TB, what string, reached func() bool) {
	t.Helper()
	for deadline := time.Now().Add(within); !reached(); {
		require.True(t, time.Now().Before(deadline), "%s: it did not happen within %s", what, within)
		<-time.After(5 * time.Millisecond)
	}
}

// ask scans one row.
func ask[T any](t testing.TB, db *sql.DB, query string, args ...any) (value T) {
	t.Helper()
	require.NoError(t, db.QueryRowContext(context.WithoutCancel(t.Context()), query, args...).Scan(&value))
	return value
}

func window100(h *config.Handler) { h.Concurrency = 100 }
