package database_test

import (
	"context"
	"database/sql"
	"errors"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/answerfeed/answerfeed/app/database"
)

func TestOpen_SaysWhatIsWrong(t *testing.T) {
	dir := t.TempDir()
	text := filepath.Join(dir, "text.db")
	require.NoError(t, os.WriteFile(text, []byte("this is no database, but some text of more than a hundred bytes, so that it is read as one and refused for what it is"), 0o600))
	tests := map[string]struct{ driver, dsn, want string }{
		"no file named":     {"sqlite", "", "must name a file"},
		"in memory":         {"sqlite", ":memory:", "in-memory"},
		"unknown driver":    {"mysql", "x", `"mysql" is not known`},
		"a directory":       {"sqlite", dir, "is a directory"},
		"missing directory": {"sqlite", filepath.Join(dir, "no", "such.db"), "directory cannot be used"},
		"not a database":    {"sqlite", text, "not a SQLite database"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			_, err := database.Open(t.Context(), database.Config{Driver: test.driver, DSN: test.dsn})
			require.ErrorContains(t, err, test.want)
		})
	}
}

func TestOpen_TakesPathsWithOddCharacters(t *testing.T) {
	path := filepath.Join(t.TempDir(), "what? 100% #1 & ünï.db")
	place{database.Config{Driver: database.SQLite, DSN: path}}.open(t)
	require.FileExists(t, path)
}

func TestUpdate_FailureLeavesNothing(t *testing.T) {
	onBoth(t, func(t *testing.T, at place) {
		db := at.migrated(t)
		boom := errors.New("boom")
		err := db.Update(t.Context(), database.Durable, func(ctx context.Context, tx *sql.Tx) error {
			require.NoError(t, insert(ctx, tx, 1))
			return boom
		})
		require.ErrorIs(t, err, boom)
		require.Zero(t, count(t, db, "effects"))
	})
}

func TestUpdate_TellsThatItsContextEnded(t *testing.T) {
	onBoth(t, func(t *testing.T, at place) {
		db := at.migrated(t)
		ctx, cancel := context.WithCancel(t.Context())
		err := db.Update(ctx, database.Durable, func(_ context.Context, tx *sql.Tx) error {
			require.NoError(t, insert(t.Context(), tx, 1))
			cancel()
			// database/sql rolls back on its own, a moment later.
			require.Eventually(t, func() bool { return insert(t.Context(), tx, 2) != nil }, 10*time.Second, time.Millisecond)
			return nil
		})
		require.ErrorIs(t, err, context.Canceled)
		require.Zero(t, count(t, db, "effects"))
	})
}

// Two handles of one database stand for two processes.
func TestUpdate_TwoProcessesShareADatabase(t *testing.T) {
	onBoth(t, func(t *testing.T, at place) {
		a := at.migrated(t)
		b := at.open(t)
		var wg sync.WaitGroup
		for i, db := range []*database.DB{a, b} {
			wg.Go(func() {
				for n := range 200 {
					require.NoError(t, db.Update(t.Context(), database.Relaxed, func(ctx context.Context, tx *sql.Tx) error {
						return insert(ctx, tx, i*1000+n)
					}))
				}
			})
		}
		wg.Wait()
		require.Equal(t, 400, count(t, a, "effects"))
	})
}

func TestChanges_TellsOfAnotherProcessAndOfNotify(t *testing.T) {
	onBoth(t, func(t *testing.T, at place) {
		a := at.migrated(t)
		b := at.open(t)
		changes, stop := a.Changes()
		defer stop()
		told := func() {
			t.Helper()
			select {
			case <-changes:
			case <-time.After(10 * time.Second):
				require.Fail(t, "not told of the change")
			}
		}
		if at.config.Driver == database.SQLite { // on PostgreSQL listeners poll
			do(t, b, `INSERT INTO effects VALUES (1)`)
			told()
		}
		a.Notify()
		told()
	})
}

func TestMigrate_ManyStartersAtOnce(t *testing.T) {
	onBoth(t, func(t *testing.T, at place) {
		var wg sync.WaitGroup
		for range 20 {
			wg.Go(func() {
				db, err := database.Open(t.Context(), at.config)
				require.NoError(t, err)
				defer db.Close()
				require.NoError(t, db.Migrate(t.Context()))
				require.NoError(t, db.Check(t.Context()))
			})
		}
		wg.Wait()
	})
}

// A migration ends its connection. Whoever waits for one of a full pool gets
// another, and not the one that has ended.
func TestMigrate_ManyAtOnceInOnePool(t *testing.T) {
	db := onPostgres(t).open(t)
	var wg sync.WaitGroup
	for range 60 {
		wg.Go(func() {
			for range 2 {
				assert.NoError(t, db.Migrate(t.Context()))
			}
		})
	}
	wg.Wait()
}

func TestCheck_OldAndForbiddingSchemas(t *testing.T) {
	onBoth(t, func(t *testing.T, at place) {
		db := at.open(t)
		err := db.Check(t.Context())
		require.ErrorIs(t, err, database.ErrSchema)
		require.ErrorContains(t, err, "worker migrate")

		require.NoError(t, db.Migrate(t.Context()))
		do(t, db, `INSERT INTO answerfeed_schema (version_id, is_applied) VALUES (9999, TRUE)`)
		require.NoError(t, db.Check(t.Context()), "a newer schema is no obstacle by itself")
		require.NoError(t, db.Migrate(t.Context()))

		do(t, db, `UPDATE answerfeed_schema_needs SET min_worker = 9999`)
		for _, err := range []error{db.Check(t.Context()), db.Migrate(t.Context())} {
			require.ErrorIs(t, err, database.ErrSchema)
			require.ErrorContains(t, err, "run a newer worker")
		}
	})
}

func TestSQL_NumbersPlaceholdersOnlyWhereTheyAreOutOfSequence(t *testing.T) {
	db := place{database.Config{Driver: database.SQLite, DSN: filepath.Join(t.TempDir(), "test.db")}}.open(t)
	for query, want := range map[string]string{
		"SELECT 1":                         "SELECT 1",
		"VALUES ($1, $2), ($3, $4)":        "VALUES (?, ?), (?, ?)",
		"SELECT $1 WHERE $1 > $2":          "SELECT ?1 WHERE ?1 > ?2",
		"SELECT $2, $1":                    "SELECT ?2, ?1",
		"SELECT $1, $2, $3, $4, $5, $6":    "SELECT ?, ?, ?, ?, ?, ?",
		database.Rows(6, 2) + " LIMIT $13": "(?,?),(?,?),(?,?),(?,?),(?,?),(?,?) LIMIT ?",
	} {
		require.Equal(t, want, db.SQL(query))
	}
}
