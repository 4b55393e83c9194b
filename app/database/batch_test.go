package database_test

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"path/filepath"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/answerfeed/answerfeed/app/database"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func open(t *testing.T, path string) *database.DB {
	t.Helper()
	db, err := database.Open(t.Context(), database.Config{Driver: database.SQLite, DSN: path})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, db.Close()) })
	return db
}

func migrated(t *testing.T) *database.DB {
	t.Helper()
	db := open(t, filepath.Join(t.TempDir(), "test.db"))
	require.NoError(t, db.Migrate(t.Context()))
	require.NoError(t, db.Update(t.Context(), database.Durable, func(ctx context.Context, tx *sql.Tx) error {
		_, err := tx.ExecContext(ctx, `CREATE TABLE effects (n INTEGER PRIMARY KEY)`)
		return err
	}))
	return db
}

func count(t *testing.T, db *database.DB, table string) (n int) {
	t.Helper()
	require.NoError(t, db.Read().QueryRowContext(t.Context(), `SELECT count(*) FROM `+table).Scan(&n))
	return n
}

func insert(ctx context.Context, tx *sql.Tx, n int) error {
	_, err := tx.ExecContext(ctx, `INSERT INTO effects VALUES (?)`, n)
	return err
}

func TestBatcher_SharesCommitsAndBadItemsFailAlone(t *testing.T) {
	db := migrated(t)
	bad := errors.New("bad item")
	started, release := make(chan struct{}), make(chan struct{})
	var sizes []int
	b := database.NewBatcher(db, database.Relaxed, 100, func(ctx context.Context, tx *sql.Tx, items []int) error {
		if sizes = append(sizes, len(items)); len(sizes) == 1 {
			close(started)
			<-release
		}
		for _, n := range items {
			if n == 13 {
				return bad
			}
			if err := insert(ctx, tx, n); err != nil {
				return err
			}
		}
		return nil
	})

	errs := make([]error, 51)
	var wg sync.WaitGroup
	wg.Go(func() { errs[0] = b.Do(t.Context(), 0) })
	<-started // the first commit is under way: the others gather behind it
	for n := 1; n <= 50; n++ {
		wg.Go(func() { errs[n] = b.Do(t.Context(), n) })
	}
	close(release)
	wg.Wait()
	b.Close()

	for n, err := range errs {
		if n == 13 {
			require.ErrorIs(t, err, bad)
		} else {
			require.NoError(t, err, n)
		}
	}
	require.Equal(t, 50, count(t, db, "effects"))
	require.Equal(t, 1, sizes[0], "a lone caller waits for nobody")
	require.ErrorIs(t, b.Do(t.Context(), 99), database.ErrClosed)
}

func TestBatcher_ReturnsWhenTheCallersContextEnds(t *testing.T) {
	db := migrated(t)
	started, release := make(chan struct{}), make(chan struct{})
	b := database.NewBatcher(db, database.Relaxed, 10, func(ctx context.Context, tx *sql.Tx, items []int) error {
		close(started)
		<-release
		return insert(ctx, tx, items[0])
	})
	ctx, cancel := context.WithCancel(t.Context())
	result := make(chan error, 1)
	go func() { result <- b.Do(ctx, 1) }()
	<-started
	cancel()
	require.ErrorIs(t, <-result, context.Canceled)
	close(release)
	b.Close()
	require.Equal(t, 1, count(t, db, "effects"), "what was accepted is committed all the same")
}

func TestOnce_TakesEffectOnceForAnIdentity(t *testing.T) {
	db := migrated(t)
	var wg sync.WaitGroup
	for i := range 200 {
		wg.Go(func() {
			identity := i % 20
			err := db.Once(t.Context(), "counter", "viewed", fmt.Sprint(identity), func(ctx context.Context, tx *sql.Tx) error {
				return insert(ctx, tx, identity)
			})
			require.NoError(t, err)
		})
	}
	wg.Wait()
	require.Equal(t, 20, count(t, db, "effects"))
	require.Equal(t, 20, count(t, db, "inbox"))
}

func TestOnce_AFailedEffectLeavesNoNote(t *testing.T) {
	db := migrated(t)
	boom := errors.New("boom")
	fail := func(ctx context.Context, tx *sql.Tx) error {
		return errors.Join(insert(ctx, tx, 1), boom)
	}
	require.ErrorIs(t, db.Once(t.Context(), "h", "t", "id", fail), boom)
	require.Zero(t, count(t, db, "inbox"))
	require.Zero(t, count(t, db, "effects"))
	require.NoError(t, db.Once(t.Context(), "h", "t", "id", func(ctx context.Context, tx *sql.Tx) error { return insert(ctx, tx, 1) }))
	require.Equal(t, 1, count(t, db, "effects"))
}

func TestPruneInbox_ForgetsOnlyWhatIsOld(t *testing.T) {
	db := migrated(t)
	require.NoError(t, db.Update(t.Context(), database.Relaxed, func(ctx context.Context, tx *sql.Tx) error {
		_, err := tx.ExecContext(ctx, `WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i+1 FROM n WHERE i < 2500)
			INSERT INTO inbox SELECT 'h', 't', 'old' || i, 1 FROM n`)
		return err
	}))
	require.NoError(t, db.Once(t.Context(), "h", "t", "new", func(context.Context, *sql.Tx) error { return nil }))
	removed, err := db.PruneInbox(t.Context())
	require.NoError(t, err)
	require.EqualValues(t, 2500, removed)
	require.Equal(t, 1, count(t, db, "inbox"))
}
