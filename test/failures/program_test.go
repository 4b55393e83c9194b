package failures

import (
	"context"
	"database/sql"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"os"
	"os/exec"
	"os/signal"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/answerfeed/answerfeed/app"
	"github.com/answerfeed/answerfeed/app/database"
	"github.com/answerfeed/answerfeed/app/event"
	"github.com/answerfeed/answerfeed/config"
	"github.com/answerfeed/answerfeed/handlers"
)

// programVariable makes a test binary a worker with the handler recorder, by
// the configuration in its environment.
const programVariable = "WORKER_TEST_PROGRAM"

const (
	// deadly is a payload that the recorder's process dies of.
	deadly = "deadly"
	// slow is a payload that takes the recorder's process a while.
	slow = "slow"
	// died is the status of that process.
	died = 3
)

// program runs that worker until SIGTERM.
func program() int {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM)
	defer stop()
	all := []handlers.Handler{recorder(func(ctx context.Context, payload []byte) error {
		// So that they are in flight together.
		takes := rand.N(20 * time.Millisecond)
		if string(payload) == slow {
			takes = 300 * time.Millisecond
		}
		select {
		case <-time.After(takes):
		case <-ctx.Done():
		}
		if string(payload) == deadly {
			os.Exit(died)
		}
		return nil
	})}
	loaded, err := config.Load(config.Options{Handlers: app.Declare(all), Overrides: map[string]any{"web.listen": "127.0.0.1:0"}})
	if err == nil {
		err = app.Run(ctx, app.Options{Config: loaded.Config, Handlers: all, Logger: slog.New(slog.NewTextHandler(os.Stderr, nil))})
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return 0
}

// process is a worker of program.
type process struct {
	cmd   *exec.Cmd
	log   output
	ended chan struct{}
}

// begin starts a worker of program, which dies with the test.
func (p place) begin(t *testing.T) *process {
	t.Helper()
	w := &process{cmd: exec.Command(os.Args[0]), ended: make(chan struct{})}
	w.cmd.Dir, w.cmd.Env, w.cmd.Stderr = p.dir, append(p.environ(), programVariable+"=1"), &w.log
	require.NoError(t, w.cmd.Start())
	go func() {
		defer close(w.ended)
		_ = w.cmd.Wait() // its status is read from the state
	}()
	t.Cleanup(func() {
		_ = w.cmd.Process.Kill()
		<-w.ended
	})
	return w
}

// runs reports that the worker has begun its work, and knows SIGTERM.
func (w *process) runs() bool { return strings.Contains(w.log.String(), "answerfeed is running") }

// dies waits until the worker has died of the deadly payload, or until it has
// no more reason to.
func (w *process) dies(t *testing.T, over func() bool) bool {
	t.Helper()
	for deadline := time.After(within); ; {
		select {
		case <-w.ended:
			require.Equal(t, died, w.cmd.ProcessState.ExitCode(), w.log.String())
			return true
		case <-deadline:
			_ = w.cmd.Process.Kill()
			<-w.ended
			require.FailNow(t, "it neither died nor was done", w.log.String())
		case <-time.After(20 * time.Millisecond):
		}
		if w.runs() && over() {
			require.NoError(t, w.cmd.Process.Signal(syscall.SIGTERM))
			<-w.ended
			require.Zero(t, w.cmd.ProcessState.ExitCode(), w.log.String())
			return false
		}
	}
}

// recorder is a handler that writes the identity of each message into the table
// effects, by the inbox, unless before returns an error. An effect that came
// twice would be two rows.
func recorder(before func(ctx context.Context, payload []byte) error) handlers.Handler {
	exec := func(query string, args ...any) func(context.Context, *sql.Tx) error {
		return func(ctx context.Context, tx *sql.Tx) error {
			_, err := tx.ExecContext(ctx, query, args...)
			return err
		}
	}
	return handlers.Handler{
		Name: "recorder",
		Migrate: func(ctx context.Context, db *database.DB) error {
			return db.Update(ctx, database.Durable, exec(`CREATE TABLE IF NOT EXISTS effects (id TEXT NOT NULL)`))
		},
		Topics: func(env handlers.Env) []handlers.Topic {
			return []handlers.Topic{{Name: tried, Handle: func(ctx context.Context, payload []byte) error {
				if err := before(ctx, payload); err != nil {
					return err
				}
				id := event.MessageOf(ctx).Identity()
				return env.DB.Once(ctx, "recorder", tried, id, exec(env.DB.SQL(`INSERT INTO effects (id) VALUES ($1)`), id))
			}}}
		},
	}
}

func nothingBefore(context.Context, []byte) error { return nil }

// requireEffects requires of n messages that each took effect once.
func requireEffects(t *testing.T, db *sql.DB, n int) {
	t.Helper()
	require.Equal(t, n, ask[int](t, db, `SELECT count(DISTINCT id) FROM effects`), "messages that took effect")
	require.Equal(t, n, ask[int](t, db, `SELECT count(*) FROM effects`), "effects")
}
