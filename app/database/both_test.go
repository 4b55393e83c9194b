package database_test

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"math/rand/v2"
	"path/filepath"
	"sync"
	"testing"
	"testing/fstest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/answerfeed/answerfeed/app/database"
)

func TestRead_RefusesToWrite(t *testing.T) {
	onBoth(t, func(t *testing.T, at place) {
		db := at.migrated(t)
		require.NoError(t, db.Ping(t.Context()))
		_, err := db.Read().ExecContext(t.Context(), `INSERT INTO effects VALUES (1)`)
		require.Error(t, err)
		require.Zero(t, count(t, db, "effects"))
		require.Equal(t, at.config.Driver, db.Driver())
	})
}

func TestStatements_ReadAndWriteInBulk(t *testing.T) {
	onBoth(t, func(t *testing.T, at place) {
		db := at.open(t)
		do(t, db, `CREATE TABLE things (id INTEGER PRIMARY KEY, name TEXT NOT NULL, size INTEGER NOT NULL)`)
		write, read := db.ToWrite(), db.ToRead()
		defer write.Close()
		defer read.Close()
		bulk := write.Bulk(`INSERT INTO things (id, name, size)`, 3, `ON CONFLICT (id) DO UPDATE SET size = things.size + excluded.size`)
		sum := read.One(`SELECT sum(size) FROM things WHERE id > $2 AND id <= $1`)
		require.NoError(t, errors.Join(write.Err(), read.Err()))
		const rows = 3*32 + 5
		var values []any
		for id := range rows {
			values = append(values, id, fmt.Sprint("thing ", id), 1)
		}
		for range 2 {
			require.NoError(t, db.Update(t.Context(), database.Relaxed, func(ctx context.Context, tx *sql.Tx) error { return bulk.Exec(ctx, tx, values) }))
		}
		var total int
		require.NoError(t, sum.QueryRowContext(t.Context(), rows, 0).Scan(&total))
		require.Equal(t, 2*(rows-1), total)

		write.One(`NO SQL`)
		require.ErrorContains(t, write.Err(), "preparing a statement")
		require.Nil(t, write.One(`SELECT 1`))
	})
}

func TestNotNull(t *testing.T) {
	onBoth(t, func(t *testing.T, at place) {
		db := at.open(t)
		do(t, db, `CREATE TABLE things (id INTEGER PRIMARY KEY, name TEXT NOT NULL)`)
		try := func(query string) error {
			return db.Update(t.Context(), database.Relaxed, func(ctx context.Context, tx *sql.Tx) error {
				_, err := tx.ExecContext(ctx, query)
				return err
			})
		}
		require.True(t, database.NotNull(try(`INSERT INTO things VALUES (1, NULL)`)))
		require.NoError(t, try(`INSERT INTO things VALUES (1, 'a')`))
		err := try(`INSERT INTO things VALUES (1, 'a')`)
		require.Error(t, err)
		require.False(t, database.NotNull(err))
		require.False(t, database.Retryable(err))
		require.False(t, database.Unavailable(err))
		for _, nothing := range []func(error) bool{database.NotNull, database.Retryable, database.Unavailable} {
			require.False(t, nothing(nil))
		}
	})
}

func TestRetryable_SQLiteLocked(t *testing.T) {
	path := filepath.Join(t.TempDir(), "test.db")
	db := place{database.Config{Driver: database.SQLite, DSN: path}}.open(t)
	other, err := sql.Open("sqlite", path+"?_pragma=busy_timeout(0)")
	require.NoError(t, err)
	defer other.Close()
	require.NoError(t, db.Update(t.Context(), database.Durable, func(ctx context.Context, _ *sql.Tx) error {
		_, err := other.ExecContext(ctx, `CREATE TABLE t (n INTEGER)`)
		require.True(t, database.Retryable(fmt.Errorf("wrapped: %w", err)), err)
		return nil
	}))
}

// Two transactions that lock two rows crosswise: PostgreSQL gives one up.
func TestRetryable_PostgresDeadlock(t *testing.T) {
	db := onPostgres(t).migrated(t)
	do(t, db, `INSERT INTO effects VALUES (1), (2)`)
	var both, wg sync.WaitGroup
	both.Add(2)
	errs := make([]error, 2)
	for i := range errs {
		wg.Go(func() {
			lock := func(ctx context.Context, tx *sql.Tx, n int) error {
				_, err := tx.ExecContext(ctx, `SELECT n FROM effects WHERE n = $1 FOR UPDATE`, n)
				return err
			}
			errs[i] = db.Update(t.Context(), database.Durable, func(ctx context.Context, tx *sql.Tx) error {
				err := lock(ctx, tx, 1+i)
				both.Done()
				both.Wait()
				return errors.Join(err, lock(ctx, tx, 2-i))
			})
		})
	}
	wg.Wait()
	require.NotEqual(t, errs[0] == nil, errs[1] == nil, errs)
	require.True(t, database.Retryable(errors.Join(errs...)))
}

// Migrations have no limit on their statements, and leave the limits as they
// were.
func TestMigrateSchema_TakesItsTime(t *testing.T) {
	at := onPostgres(t)
	at.config.StatementTimeout = 500 * time.Millisecond
	at.config.Writers = 1
	db := at.open(t)
	schema := database.Schema{
		Files: fstest.MapFS{"m/00001_slow.sql": {Data: []byte(`CREATE TABLE "odd-needs_needs" AS SELECT 1 AS min_worker FROM pg_sleep(1)`)}},
		Dir:   "m", Table: "odd-needs",
	}
	for range 2 {
		require.NoError(t, db.MigrateSchema(t.Context(), schema))
	}
	require.NoError(t, db.CheckSchema(t.Context(), schema))
	require.NoError(t, db.Update(t.Context(), database.Durable, func(ctx context.Context, tx *sql.Tx) error {
		var limit string
		require.NoError(t, tx.QueryRowContext(ctx, `SHOW statement_timeout`).Scan(&limit))
		require.Equal(t, "500ms", limit)
		return nil
	}))
}

// Processes whose batches overlap, in whatever order, neither deadlock nor let
// an effect happen twice.
func TestOnce_FromSeveralProcesses(t *testing.T) {
	onBoth(t, func(t *testing.T, at place) {
		handles := []*database.DB{at.migrated(t), at.open(t), at.open(t)}
		const identities = 200
		var wg sync.WaitGroup
		for _, db := range handles {
			for _, n := range rand.Perm(identities) {
				wg.Go(func() {
					assert.NoError(t, db.Once(t.Context(), "h", "t", fmt.Sprint(n), func(ctx context.Context, tx *sql.Tx) error {
						return insert(ctx, tx, n) // twice would be refused
					}))
				})
			}
		}
		wg.Wait()
		require.Equal(t, identities, count(t, handles[0], "effects"))
		require.Equal(t, identities, count(t, handles[0], "inbox"))
	})
}
