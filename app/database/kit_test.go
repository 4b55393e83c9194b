package database_test

import (
	"context"
	"database/sql"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/answerfeed/answerfeed/app/database"
	"github.com/answerfeed/answerfeed/internal/testserver"
)

// shared is one PostgreSQL for the tests that do nothing to the server.
var shared = sync.OnceValues(func() (*testserver.Postgres, error) {
	return testserver.SharedPostgres(context.Background())
})

func TestMain(m *testing.M) {
	code := m.Run()
	if server, err := shared(); err == nil {
		if err := server.Stop(); err != nil {
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

// place is an empty database that several handles may open, as processes do.
type place struct{ config database.Config }

// onBoth runs a test on each kind of database.
func onBoth(t *testing.T, test func(t *testing.T, at place)) {
	t.Helper()
	t.Run("sqlite", func(t *testing.T) {
		test(t, place{database.Config{Driver: database.SQLite, DSN: filepath.Join(t.TempDir(), "test.db")}})
	})
	t.Run("postgres", func(t *testing.T) { test(t, onPostgres(t)) })
}

func onPostgres(t *testing.T) place {
	t.Helper()
	server, err := shared()
	require.NoError(t, err)
	return place{database.Config{Driver: database.Postgres, DSN: databaseOf(t, server)}}
}

func databaseOf(t *testing.T, server *testserver.Postgres) (dsn string) {
	t.Helper()
	dsn, err := server.Database(t.Context())
	require.NoError(t, err)
	return dsn
}

func (p place) open(t *testing.T) *database.DB {
	t.Helper()
	db, err := database.Open(t.Context(), p.config)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, db.Close()) })
	return db
}

func (p place) migrated(t *testing.T) *database.DB {
	t.Helper()
	db := p.open(t)
	require.NoError(t, db.Migrate(t.Context()))
	do(t, db, `CREATE TABLE effects (n INTEGER PRIMARY KEY)`)
	return db
}

// do runs a query in a transaction of its own.
func do(t *testing.T, db *database.DB, query string) {
	t.Helper()
	require.NoError(t, db.Update(t.Context(), database.Durable, func(ctx context.Context, tx *sql.Tx) error {
		_, err := tx.ExecContext(ctx, query)
		return err
	}))
}

func count(t *testing.T, db *database.DB, table string) (n int) {
	t.Helper()
	require.NoError(t, db.Read().QueryRowContext(t.Context(), `SELECT count(*) FROM `+table).Scan(&n))
	return n
}

func insert(ctx context.Context, tx *sql.Tx, n int) error {
	_, err := tx.ExecContext(ctx, fmt.Sprintf(`INSERT INTO effects VALUES (%d)`, n))
	return err
}

// fill makes the pool open all its connections: each transaction waits for the
// others.
func fill(t *testing.T, db *database.DB, writers int) {
	t.Helper()
	var all, wg sync.WaitGroup
	all.Add(writers)
	for range writers {
		wg.Go(func() {
			assert.NoError(t, db.Update(t.Context(), database.Relaxed, func(context.Context, *sql.Tx) error {
				all.Done()
				all.Wait()
				return nil
			}))
		})
	}
	wg.Wait()
}

// administer runs queries that cannot be in a transaction.
func administer(t *testing.T, dsn string, queries ...string) {
	t.Helper()
	ctx := context.WithoutCancel(t.Context())
	conn, err := pgx.Connect(ctx, dsn)
	require.NoError(t, err)
	for _, q := range queries {
		_, err := conn.Exec(ctx, q)
		require.NoError(t, err)
	}
	require.NoError(t, conn.Close(ctx))
}
