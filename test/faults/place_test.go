package faults

import (
	"crypto/rand"
	"database/sql"
	"log/slog"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	_ "github.com/jackc/pgx/v5/stdlib"
	"github.com/stretchr/testify/require"
	_ "modernc.org/sqlite"

	"github.com/answerfeed/answerfeed/app"
	"github.com/answerfeed/answerfeed/config"
	"github.com/answerfeed/answerfeed/handlers"
)

// place is a folder, and the transport and the database that are used there.
type place struct {
	dir string
	settings
}

// settings are what differs from the embedded default, by key.
type settings map[string]string

// onEach runs a test on every transport, beside one another.
func onEach(t *testing.T, test func(t *testing.T, p place)) {
	t.Run("SQLite", func(t *testing.T) { t.Parallel(); test(t, onSQLite(t)) })
	t.Run("AMQP", func(t *testing.T) { t.Parallel(); test(t, onAMQP(t, sharedBroker(t))) })
	t.Run("PostgreSQL", func(t *testing.T) { t.Parallel(); test(t, onPostgres(t, sharedDatabase(t))) })
}

func onSQLite(t testing.TB) place { return place{dir: t.TempDir()} }

// onAMQP has its tables in SQLite.
func onAMQP(t testing.TB, url string) place { return onSQLite(t).with(queuesAt(url)) }

// onPostgres has queues and tables in one database.
func onPostgres(t testing.TB, dsn string) place {
	return onSQLite(t).with(queuesIn(dsn)).with(tablesIn(dsn))
}

// queuesAt is RabbitMQ as the transport, with exchanges and queues of its own.
func queuesAt(url string) settings {
	return settings{"transport.kind": "amqp", "transport.amqp.url": url, "transport.prefix": strings.ToLower(rand.Text()[:10]) + "-"}
}

// queuesIn is PostgreSQL as the transport.
func queuesIn(dsn string) settings {
	return settings{"transport.kind": "sql", "transport.sql.driver": "postgres", "transport.sql.dsn": dsn}
}

// tablesIn is PostgreSQL as the database.
func tablesIn(dsn string) settings {
	return settings{"database.driver": "postgres", "database.dsn": dsn}
}

// with is the same folder with other settings.
func (p place) with(s settings) place {
	all := maps.Clone(p.settings)
	if all == nil {
		all = settings{}
	}
	maps.Copy(all, s)
	return place{p.dir, all}
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

// startProgram runs the worker of program with these handlers of its own, and
// waits likewise.
func (p place) startProgram(t testing.TB, own ...string) *worker {
	t.Helper()
	cmd := p.inside(exec.Command(programBinary))
	cmd.Env = append(cmd.Env, programVariable+"="+strings.Join(own, ","))
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

// onPostgres tells where the tables are.
func (p place) onPostgres() bool { return p.settings["database.driver"] == "postgres" }

// reader reads the place's database beside the worker.
func (p place) reader(t testing.TB) *sql.DB { return p.connect(t, "&_pragma=query_only(ON)") }

// writer is a connection of somebody else to the place's database.
func (p place) writer(t testing.TB) *sql.DB { return p.connect(t, "&_txlock=immediate") }

func (p place) connect(t testing.TB, pragma string) *sql.DB {
	t.Helper()
	driver, dsn := "sqlite", "file:"+filepath.Join(p.dir, "answerfeed.db")+"?_pragma=busy_timeout(5000)"+pragma
	if p.onPostgres() {
		driver, dsn = "pgx", p.settings["database.dsn"]
	}
	db, err := sql.Open(driver, dsn)
	require.NoError(t, err)
	db.SetMaxIdleConns(kept)
	t.Cleanup(func() { _ = db.Close() })
	return db
}

// kept is how many connections stay open for the next who needs one: a new one
// costs PostgreSQL a process.
const kept = 16
