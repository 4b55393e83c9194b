package suspect_test

import (
	"context"
	"database/sql"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/answerfeed/answerfeed/app/database"
	"github.com/answerfeed/answerfeed/internal/fleet"
	"github.com/answerfeed/answerfeed/internal/suspect"
	"github.com/answerfeed/answerfeed/internal/testserver"
)

var server = sync.OnceValues(func() (*testserver.Postgres, error) {
	return testserver.SharedPostgres(context.Background())
})

func TestMain(m *testing.M) {
	code := m.Run()
	if s, err := server(); err == nil {
		if err := s.Stop(); err != nil {
			fmt.Fprintln(os.Stderr, err)
			code = 1
		}
	}
	if err := goleak.Find(); code == 0 && err != nil {
		fmt.Fprintln(os.Stderr, err)
		code = 1
	}
	os.Exit(code)
}

// onBoth runs a test on each kind of database.
func onBoth(t *testing.T, test func(t *testing.T, cfg database.Config)) {
	t.Run("SQLite", func(t *testing.T) {
		test(t, database.Config{Driver: database.SQLite, DSN: filepath.Join(t.TempDir(), "test.db")})
	})
	t.Run("PostgreSQL", func(t *testing.T) {
		s, err := server()
		require.NoError(t, err)
		dsn, err := s.Database(t.Context())
		require.NoError(t, err)
		test(t, database.Config{Driver: database.Postgres, DSN: dsn})
	})
}

// process is a worker, or what stands for one: it dies when its row says that
// it has.
type process struct {
	*suspect.Store
	*fleet.Member
	db *database.DB
}

func start(t *testing.T, cfg database.Config) *process {
	t.Helper()
	db, err := database.Open(t.Context(), cfg)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, db.Close()) })
	require.NoError(t, db.Migrate(t.Context()))
	p := &process{Store: suspect.NewStore(db), db: db}
	p.Member, err = fleet.Join(t.Context(), db, fleet.Options{Ended: p.Ended, Beaten: p.Sweep, Logger: slog.New(slog.DiscardHandler)})
	require.NoError(t, err)
	p.Of(p.Member)
	t.Cleanup(p.Leave)
	return p
}

// dies makes others believe that the kernel knows the process to be dead.
func (p *process) dies(t *testing.T) {
	t.Helper()
	p.exec(t, `UPDATE workers SET birth = 'another' WHERE id = $1`, p.ID())
}

func (p *process) exec(t *testing.T, query string, args ...any) {
	t.Helper()
	require.NoError(t, p.db.Update(t.Context(), database.Durable, func(ctx context.Context, tx *sql.Tx) error {
		_, err := tx.ExecContext(ctx, p.db.SQL(query), args...)
		return err
	}))
}

func (p *process) standing(t *testing.T) []suspect.Group {
	t.Helper()
	groups, err := p.Standing(t.Context(), "q")
	require.NoError(t, err)
	return groups
}

func (p *process) begins(t *testing.T, g suspect.Group) string {
	t.Helper()
	id, begun, err := p.Begin(t.Context(), g)
	require.NoError(t, err)
	require.True(t, begun)
	return id
}

// A group's row goes with its end; while it stands, each process knows whose
// it is.
func TestStore_KeepsAGroupForAsLongAsItIsHandled(t *testing.T) {
	onBoth(t, func(t *testing.T, cfg database.Config) {
		a, b := start(t, cfg), start(t, cfg)
		all := members(100)
		id := a.begins(t, suspect.Around("q", all))
		require.Equal(t, suspect.Mine, a.standing(t)[0].Owner)
		g := b.standing(t)[0]
		require.Equal(t, suspect.Other, g.Owner)
		require.Greater(t, g.Proof, b.Store.Look(), "its process lives")
		for _, m := range all {
			require.True(t, g.Holds(m.Hash))
		}
		a.End(t.Context(), id, false)
		require.Empty(t, b.standing(t))
	})
}

// The groups of a process that died are two halves, which anybody may take,
// and one does.
func TestStore_HalvesWhatADeadProcessHandled(t *testing.T) {
	onBoth(t, func(t *testing.T, cfg database.Config) {
		a, b := start(t, cfg), start(t, cfg)
		a.begins(t, suspect.Around("q", members(100)))
		a.dies(t)
		halves := b.standing(t)
		require.Len(t, halves, 2)
		for _, h := range halves {
			require.Equal(t, suspect.Nobody, h.Owner)
			require.True(t, h.Suspect)
		}
		id := b.begins(t, halves[0])
		_, begun, err := a.Begin(t.Context(), halves[0])
		require.NoError(t, err)
		require.False(t, begun, "it is taken")
		b.End(t.Context(), id, true)
		require.Len(t, b.standing(t), 2, "an unfinished one waits again")
		id = b.begins(t, halves[0])
		b.End(t.Context(), id, false)
		require.Len(t, b.standing(t), 1)
	})
}

// A death counts for a message that was alone, and for none that was not.
func TestStore_CountsDeathsAlone(t *testing.T) {
	onBoth(t, func(t *testing.T, cfg database.Config) {
		watcher := start(t, cfg)
		g := suspect.Around("q", members(1))
		first := start(t, cfg)
		first.begins(t, g)
		first.dies(t)
		for deaths := range 3 {
			g := watcher.standing(t)[0]
			require.Equal(t, deaths, g.Deaths)
			g.Identity = "m0"
			p := start(t, cfg)
			p.begins(t, g)
			p.dies(t)
		}
		g = watcher.standing(t)[0]
		company := start(t, cfg)
		company.begins(t, g)
		other := suspect.Around("another", members(2))
		company.begins(t, other)
		company.dies(t)
		require.Equal(t, 3, watcher.standing(t)[0].Deaths, "it was not alone in its process")
		last := start(t, cfg)
		id := last.begins(t, watcher.standing(t)[0])
		last.End(t.Context(), id, false)
		require.Empty(t, watcher.standing(t), "it ended, and its count with it")
	})
}

// What a process leaves behind that ends in peace is no death. Ranges that
// others died of stay suspected.
func TestStore_AStopIsNoDeath(t *testing.T) {
	onBoth(t, func(t *testing.T, cfg database.Config) {
		watcher, p := start(t, cfg), start(t, cfg)
		p.begins(t, suspect.Around("q", members(10)))
		alone := suspect.Around("q", members(1))
		alone.Suspect, alone.Identity, alone.Deaths = true, "m0", 4
		p.begins(t, alone)
		p.Leave()
		groups := watcher.standing(t)
		require.Len(t, groups, 1)
		require.Equal(t, suspect.Nobody, groups[0].Owner)
		require.Equal(t, 4, groups[0].Deaths)
	})
}

// A process that was taken for dead, and is not, begins its next group in
// peace.
func TestStore_AProcessThatWasTakenForDeadGoesOn(t *testing.T) {
	onBoth(t, func(t *testing.T, cfg database.Config) {
		a, b := start(t, cfg), start(t, cfg)
		id := a.begins(t, suspect.Around("q", members(10)))
		a.dies(t)
		require.Len(t, b.standing(t), 2)
		a.End(t.Context(), id, false)
		require.Len(t, b.standing(t), 2, "the halves are not its own")
		a.begins(t, suspect.Around("another", members(10)))
		groups, err := b.Standing(t.Context(), "another")
		require.NoError(t, err)
		require.Len(t, groups, 1)
		require.Equal(t, suspect.Other, groups[0].Owner)
	})
}

// An end that fails is made up for: else a later death would count against
// what had ended before.
func TestStore_EndsLaterWhatItCannotEndNow(t *testing.T) {
	onBoth(t, func(t *testing.T, cfg database.Config) {
		p := start(t, cfg)
		id := p.begins(t, suspect.Around("q", members(10)))
		p.exec(t, `ALTER TABLE suspect_groups RENAME TO away`)
		p.End(t.Context(), id, false)
		p.Sweep(t.Context())
		p.exec(t, `ALTER TABLE away RENAME TO suspect_groups`)
		require.Eventually(t, func() bool { return len(p.standing(t)) == 0 }, time.Minute, 10*time.Millisecond)
	})
}

func TestStore_ForgetsWhatNobodyComesBackTo(t *testing.T) {
	onBoth(t, func(t *testing.T, cfg database.Config) {
		a, b := start(t, cfg), start(t, cfg)
		a.begins(t, suspect.Around("q", members(10)))
		accused := suspect.Around("q", members(1))
		accused.Suspect, accused.Identity = true, "m0"
		a.begins(t, accused)
		a.dies(t)
		b.begins(t, suspect.Around("q", members(10)))
		require.Len(t, b.standing(t), 4)
		for _, step := range []struct {
			older time.Duration
			left  int
		}{{0, 4}, {16 * time.Minute, 2}, {24 * time.Hour, 1}} {
			b.exec(t, `UPDATE suspect_groups SET changed_at = changed_at - $1`, step.older.Microseconds())
			require.NoError(t, b.Prune(t.Context()))
			require.Len(t, b.standing(t), step.left, "what is handled stays")
		}
	})
}

// A worker that dies of something else for ever fills no table.
func TestStore_BoundsWhatWaits(t *testing.T) {
	onBoth(t, func(t *testing.T, cfg database.Config) {
		watcher := start(t, cfg)
		for i := range 140 {
			watcher.exec(t, `INSERT INTO workers (id, host, machine, pid, birth, version, started_at, seen_at, beats, runs, in_flight)
				SELECT $1, host, machine, pid, 'another', version, started_at, seen_at, 1, runs, in_flight FROM workers WHERE id = $2`, fmt.Sprint(i), watcher.ID())
			watcher.exec(t, `INSERT INTO suspect_groups (id, queue, lo, mid, hi, worker, suspect, identity, requeues, deaths, changed_at)
				VALUES ($1, 'q', 0, 1, 2, $2, 0, '', 0, 0, 0)`, fmt.Sprint("g", i), fmt.Sprint(i))
		}
		require.Eventually(t, func() bool { return len(watcher.standing(t)) == 256 }, time.Minute, 10*time.Millisecond)
	})
}
