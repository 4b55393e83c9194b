package database_test

import (
	"context"
	"database/sql"
	"os"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/answerfeed/answerfeed/app/database"
	"github.com/answerfeed/answerfeed/internal/testserver"
)

const days = 24 * time.Hour

// onEach runs a test on SQLite and on PostgreSQL 15 and 18.
func onEach(t *testing.T, test func(t *testing.T, at place)) {
	t.Helper()
	onBoth(t, test)
	t.Run("postgres 18", func(t *testing.T) {
		server, err := testserver.StartPostgresOf(t.Context(), testserver.Sid, "fsync = off")
		require.NoError(t, err)
		t.Cleanup(func() { require.NoError(t, server.Stop()) })
		test(t, place{database.Config{Driver: database.Postgres, DSN: databaseOf(t, server)}})
	})
}

func handle(t *testing.T, db *database.DB, identity string) (done bool) {
	t.Helper()
	require.NoError(t, db.Once(t.Context(), "h", "t", identity, func(context.Context, *sql.Tx) error {
		done = true
		return nil
	}))
	return done
}

func prune(t *testing.T, db *database.DB) (removed int64) {
	t.Helper()
	removed, err := db.PruneInbox(t.Context())
	require.NoError(t, err)
	return removed
}

// A clock that is 40 days ahead forgets nothing: not at the first run, nor at
// those that follow, nor in the worker that comes next.
func TestPruneInbox_ClockAhead_ForgetsNothing(t *testing.T) {
	onEach(t, func(t *testing.T, at place) {
		db := at.migrated(t)
		require.True(t, handle(t, db, "a"))
		for range 2 {
			db := at.open(t)
			db.Ahead(40 * days)
			for range 3 {
				require.Zero(t, prune(t, db))
			}
			require.False(t, handle(t, db, "a"), "it takes effect once")
		}
		_, ahead, err := at.open(t).PassTime(t.Context())
		require.NoError(t, err)
		require.Less(t, ahead, time.Hour)
	})
}

// A database of the version before has no such time yet: then what it holds
// tells.
func TestMigrate_ClockAhead_ForgetsNothing(t *testing.T) {
	onBoth(t, func(t *testing.T, at place) {
		db := at.migrated(t)
		require.True(t, handle(t, db, "a"))
		// The inbox of 40 days ago, as a clock that is ahead sees the one of now.
		do(t, db, `UPDATE inbox SET handled_at = handled_at - 3456000000000`)
		do(t, db, `DROP TABLE forgetting`)
		migration, err := os.ReadFile("migrations/" + db.Driver() + "/00010_forgetting.sql")
		require.NoError(t, err)
		do(t, db, string(migration))
		require.Zero(t, prune(t, db))
		require.False(t, handle(t, db, "a"))
	})
}

// What is noted while the clock is 40 days behind is not forgotten when the
// clock is right again.
func TestOnce_ClockBehind_IsKeptAsLong(t *testing.T) {
	onEach(t, func(t *testing.T, at place) {
		db := at.migrated(t)
		db.Ahead(-40 * days)
		require.True(t, handle(t, db, "a"))
		db.Ahead(0)
		require.Zero(t, prune(t, db))
		require.False(t, handle(t, db, "a"))
	})
}

// Time that a worker sees pass counts, up to twice.
func TestPassTime_FollowsTheTimeThatPassed(t *testing.T) {
	onBoth(t, func(t *testing.T, at place) {
		db := at.migrated(t)
		db.Ahead(40 * days)
		began := time.Now()
		first, _, err := db.PassTime(t.Context())
		require.NoError(t, err)
		others := at.open(t)
		others.Ahead(40 * days)
		var last time.Time
		for range 50 {
			for _, db := range []*database.DB{db, others} { // together no faster than one
				last, _, err = db.PassTime(t.Context())
				require.NoError(t, err)
			}
		}
		require.True(t, last.After(first))
		require.LessOrEqual(t, last.Sub(first), 2*time.Since(began))
	})
}
