package faults

import (
	"context"
	"crypto/rand"
	"database/sql"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"
	_ "modernc.org/sqlite"

	"github.com/answerfeed/answerfeed/app"
	"github.com/answerfeed/answerfeed/app/testserver"
	"github.com/answerfeed/answerfeed/config"
	"github.com/answerfeed/answerfeed/handlers"
)

// place is a folder with a worker's database, and the transport that is used
// there.
type place struct {
	dir      string
	settings map[string]string // by key, of the transport
}

// onEach runs a test on every transport.
func onEach(t *testing.T, test func(t *testing.T, p place)) {
	t.Run("SQLite", func(t *testing.T) { test(t, onSQLite(t)) })
	t.Run("AMQP", func(t *testing.T) { test(t, onAMQP(t, sharedBroker(t))) })
}

func onSQLite(t testing.TB) place { return place{dir: t.TempDir()} }

// onAMQP has exchanges and queues of its own.
func onAMQP(t testing.TB, url string) place {
	return place{t.TempDir(), map[string]string{
		"transport.kind": "amqp", "transport.amqp.url": url, "transport.prefix": strings.ToLower(rand.Text()[:10]) + "-",
	}}
}

// by is the same place, reached through another URL.
func (p place) by(url string) place {
	return place{p.dir, map[string]string{
		"transport.kind": "amqp", "transport.amqp.url": url, "transport.prefix": p.settings["transport.prefix"],
	}}
}

// broker is a RabbitMQ for all tests that do not harm it, started when the
// first asks for it.
var broker struct {
	once    sync.Once
	url     string
	started *testserver.RabbitMQ
	err     error
}

func sharedBroker(t testing.TB) string {
	t.Helper()
	broker.once.Do(func() {
		if broker.url = os.Getenv(testserver.URLVariable); broker.url != "" {
			return
		}
		if broker.started, broker.err = testserver.StartRabbitMQ(context.Background()); broker.err == nil {
			broker.url = broker.started.URL
		}
	})
	require.NoError(t, broker.err)
	return broker.url
}

// ownBroker is a RabbitMQ that the test may kill.
func ownBroker(t testing.TB) *testserver.RabbitMQ {
	t.Helper()
	b, err := testserver.StartRabbitMQ(t.Context())
	require.NoError(t, err)
	t.Cleanup(func() {
		if t.Failed() {
			t.Logf("the broker's log:\n%s", b.Log())
		}
		_ = b.Stop()
	})
	return b
}

func (p place) config(t testing.TB, yaml string) {
	t.Helper()
	require.NoError(t, os.WriteFile(filepath.Join(p.dir, "worker.yaml"), []byte(yaml), 0o600))
}

// environ is the environment of a process in this place.
func (p place) environ() []string {
	env := os.Environ()
	for key, value := range p.settings {
		env = append(env, "WORKER_"+strings.ToUpper(strings.ReplaceAll(key, ".", "_"))+"="+value)
	}
	return env
}

// start runs `worker run` and waits until it serves.
func (p place) start(t testing.TB) *worker {
	t.Helper()
	return serve(t, p.command("run", "--listen", "127.0.0.1:0"))
}

// startProgram runs the worker of program, and waits likewise.
func (p place) startProgram(t testing.TB) *worker {
	t.Helper()
	cmd := p.inside(exec.Command(programBinary))
	cmd.Env = append(cmd.Env, programVariable+"=1")
	return serve(t, cmd)
}

// command is the worker with these arguments.
func (p place) command(args ...string) *exec.Cmd { return p.inside(exec.Command(binary, args...)) }

func (p place) inside(cmd *exec.Cmd) *exec.Cmd {
	cmd.Dir, cmd.Env = p.dir, p.environ()
	return cmd
}

// open opens the place's transport for publishing, as another process would.
func (p place) open(t testing.TB, more ...handlers.Handler) *app.Client {
	t.Helper()
	all := append(handlers.All(), more...)
	file := filepath.Join(p.dir, "answerfeed.db")
	overrides := map[string]any{"transport.sql.dsn": file, "database.dsn": file}
	for key, value := range p.settings {
		overrides[key] = value
	}
	loaded, err := config.Load(config.Options{Environ: []string{}, Handlers: app.Declare(all), Overrides: overrides})
	require.NoError(t, err)
	client, err := app.Open(t.Context(), app.Options{Config: loaded.Config, Handlers: all, Logger: slog.New(slog.DiscardHandler)})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, client.Close()) })
	return client
}

// reader reads the place's database beside the worker.
func (p place) reader(t testing.TB) *sql.DB {
	t.Helper()
	db, err := sql.Open("sqlite", "file:"+filepath.Join(p.dir, "answerfeed.db")+"?_pragma=busy_timeout(5000)&_pragma=query_only(ON)")
	require.NoError(t, err)
	t.Cleanup(func() { _ = db.Close() })
	return db
}
