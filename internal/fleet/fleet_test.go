package fleet_test

import (
	"bytes"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/answerfeed/answerfeed/app/database"
	"github.com/answerfeed/answerfeed/internal/fleet"
	"github.com/answerfeed/answerfeed/internal/testserver"
)

var server = sync.OnceValues(func() (*testserver.Postgres, error) {
	return testserver.SharedPostgres(context.Background())
})

func TestMain(m *testing.M) {
	code := m.Run()
	if s, err := server(); err == nil {
		code = max(code, exit(s.Stop()))
	}
	if code == 0 {
		code = exit(goleak.Find())
	}
	os.Exit(code)
}

func exit(err error) int {
	if err == nil {
		return 0
	}
	fmt.Fprintln(os.Stderr, err)
	return 1
}

// onBoth runs a test on each kind of database, beside others.
func onBoth(t *testing.T, test func(t *testing.T, db *database.DB)) {
	t.Helper()
	t.Parallel()
	t.Run("SQLite", func(t *testing.T) {
		t.Parallel()
		test(t, open(t, database.Config{Driver: database.SQLite, DSN: filepath.Join(t.TempDir(), "test.db")}))
	})
	t.Run("PostgreSQL", func(t *testing.T) {
		t.Parallel()
		s, err := server()
		require.NoError(t, err)
		dsn, err := s.Database(t.Context())
		require.NoError(t, err)
		test(t, open(t, database.Config{Driver: database.Postgres, DSN: dsn}))
	})
}

func open(t *testing.T, cfg database.Config) *database.DB {
	t.Helper()
	db, err := database.Open(t.Context(), cfg)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, db.Close()) })
	require.NoError(t, db.Migrate(t.Context()))
	return db
}

// ends are the workers whose end was told, and the log.
type ends struct {
	mu  sync.Mutex
	all []string
	log bytes.Buffer
}

func (e *ends) Write(line []byte) (int, error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.log.Write(line)
}

func (e *ends) ended(_ context.Context, _ *sql.Tx, id string, died bool) error {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.all = append(e.all, fmt.Sprint(id, " ", died))
	return nil
}

func (e *ends) told() string {
	e.mu.Lock()
	defer e.mu.Unlock()
	return strings.Join(e.all, ", ")
}

func (e *ends) logged() string {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.log.String()
}

func join(t *testing.T, db *database.DB, e *ends) *fleet.Member {
	t.Helper()
	m, err := fleet.Join(t.Context(), db, fleet.Options{
		Version: "v1", Runs: []string{"answer-added.feed"}, InFlight: func() map[string]int { return map[string]int{"answer-added.feed": 7} },
		Ended: e.ended, Logger: slog.New(slog.NewTextHandler(e, nil)),
	})
	require.NoError(t, err)
	return m
}

func list(t *testing.T, db *database.DB) []fleet.Worker {
	t.Helper()
	workers, err := fleet.List(t.Context(), db)
	require.NoError(t, err)
	return workers
}

func exec1(t *testing.T, db *database.DB, query string, args ...any) {
	t.Helper()
	require.NoError(t, db.Update(t.Context(), database.Durable, func(ctx context.Context, tx *sql.Tx) error {
		_, err := tx.ExecContext(ctx, db.SQL(query), args...)
		return err
	}))
}

func eventually(t *testing.T, what string, reached func() bool) {
	t.Helper()
	for deadline := time.Now().Add(time.Minute); !reached(); <-time.After(10 * time.Millisecond) {
		require.True(t, time.Now().Before(deadline), what)
	}
}

func TestMember_IsInTheListUntilItLeaves(t *testing.T) {
	onBoth(t, func(t *testing.T, db *database.DB) {
		e := &ends{}
		m := join(t, db, e)
		other := join(t, db, e)
		workers := list(t, db)
		require.Len(t, workers, 2)
		w := workers[0]
		require.Equal(t, m.ID(), w.ID)
		require.Equal(t, os.Getpid(), w.PID)
		require.Equal(t, "v1", w.Version)
		require.Equal(t, []string{"answer-added.feed"}, w.Runs)
		require.Equal(t, map[string]int{"answer-added.feed": 7}, w.InFlight)
		require.WithinDuration(t, time.Now(), w.SeenAt, time.Minute)
		require.WithinDuration(t, time.Now(), w.StartedAt, time.Minute)
		eventually(t, "it beats", func() bool { return list(t, db)[0].SeenAt.After(w.SeenAt) })
		m.Leave()
		require.Len(t, list(t, db), 1)
		require.Equal(t, m.ID()+" false", e.told())
		other.Leave()
		require.Empty(t, list(t, db))
	})
}

// The kernel knows that a process of this machine is gone, and that another
// one that has its number now is another.
func TestMember_BuriesWhatTheKernelKnowsToBeDead(t *testing.T) {
	onBoth(t, func(t *testing.T, db *database.DB) {
		gone := exec.Command("true")
		require.NoError(t, gone.Run())
		zombie := exec.Command("true")
		require.NoError(t, zombie.Start())
		defer zombie.Wait() //nolint:errcheck // its end is what matters
		e := &ends{}
		m := join(t, db, e)
		defer m.Leave()
		copies := `INSERT INTO workers (id, host, machine, pid, birth, version, started_at, seen_at, beats, runs, in_flight)
			SELECT $1, host, machine, $2, $3, version, started_at, seen_at, 1, runs, in_flight FROM workers WHERE id = $4`
		for id, w := range map[string]struct {
			pid   int
			birth string
		}{"gone": {gone.Process.Pid, "1"}, "zombie": {zombie.Process.Pid, "1"}, "reused": {os.Getpid(), "1"}} {
			exec1(t, db, copies, id, w.pid, w.birth, m.ID())
		}
		eventually(t, "they are buried", func() bool { return len(list(t, db)) == 1 })
		for _, id := range []string{"gone", "zombie", "reused"} {
			require.Contains(t, e.told(), id+" true")
		}
	})
}

// Of this machine's live process no silence makes a dead one: an own pool that
// has no connection to the database, a process that was stopped.
func TestMember_KnowsThatASilentProcessLives(t *testing.T) {
	onBoth(t, func(t *testing.T, db *database.DB) {
		e := &ends{}
		m, silent := join(t, db, e), join(t, db, e)
		defer m.Leave()
		look := m.Look()
		proof, dead, err := m.Sight(t.Context(), silent.ID())
		require.NoError(t, err)
		require.False(t, dead)
		require.Greater(t, proof, look)
		silent.Leave()
		_, dead, err = m.Sight(t.Context(), silent.ID())
		require.NoError(t, err)
		require.True(t, dead, "it is gone")
	})
}

// Of another machine's worker beats alone tell. Nobody buries it as long as
// they come, and once they do not, one of those who see that does.
func TestMember_BuriesTheSilentOfAnotherMachineOnce(t *testing.T) {
	onBoth(t, func(t *testing.T, db *database.DB) {
		e := &ends{}
		a, b := join(t, db, e), join(t, db, e)
		defer a.Leave()
		defer b.Leave()
		exec1(t, db, `INSERT INTO workers (id, host, machine, pid, birth, version, started_at, seen_at, beats, runs, in_flight)
			VALUES ('far', 'far', 'another kernel', 1, '1', 'v1', 1, 1, 1, '[]', '{}')`)
		look := a.Look()
		for beat := 2; beat < 6; beat++ {
			exec1(t, db, `UPDATE workers SET beats = $1 WHERE id = 'far'`, beat)
			at := a.Look()
			eventually(t, "the next look", func() bool { return a.Look() > at+1 })
		}
		proof, dead, err := a.Sight(t.Context(), "far")
		require.NoError(t, err)
		require.False(t, dead)
		require.Greater(t, proof, look)
		silent := time.Now()
		eventually(t, "it is buried", func() bool { return strings.Contains(e.told(), "far true") })
		require.Greater(t, time.Since(silent), 8*time.Second)
		eventually(t, "it is told", func() bool { return e.logged() != "" })
		require.Len(t, list(t, db), 2)
		require.Equal(t, 1, strings.Count(e.logged(), "a worker has died"))
	})
}

// A beat between the look and the burial is a life.
func TestMember_BuriesNobodyWhoseRowIsMadeAgain(t *testing.T) {
	onBoth(t, func(t *testing.T, db *database.DB) {
		e := &ends{}
		m, other := join(t, db, e), join(t, db, e)
		defer m.Leave()
		defer other.Leave()
		exec1(t, db, `DELETE FROM workers WHERE id = $1`, other.ID())
		eventually(t, "it is in the list again", func() bool { return len(list(t, db)) == 2 })
		require.NoError(t, m.Bury(t.Context(), "nobody"))
		require.Contains(t, e.told(), "nobody true", "what it has left behind")
	})
}

// What the transaction cannot take over is not buried.
func TestMember_TakesOverOrBuriesNobody(t *testing.T) {
	onBoth(t, func(t *testing.T, db *database.DB) {
		e := &ends{}
		refuse := errors.New("refused")
		m, err := fleet.Join(t.Context(), db, fleet.Options{
			Logger: slog.New(slog.NewTextHandler(e, nil)),
			Ended:  func(context.Context, *sql.Tx, string, bool) error { return refuse },
		})
		require.NoError(t, err)
		exec1(t, db, `INSERT INTO workers (id, host, machine, pid, birth, version, started_at, seen_at, beats, runs, in_flight)
			VALUES ('far', 'far', 'another kernel', 1, '1', 'v1', 1, 1, 1, '[]', '{}')`)
		require.ErrorIs(t, m.Bury(t.Context(), "far"), refuse)
		require.Len(t, list(t, db), 2)
		m.Leave()
	})
}
