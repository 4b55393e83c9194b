package database_test

import (
	"context"
	"database/sql"
	"errors"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgconn"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/answerfeed/answerfeed/app/database"
)

func TestBatcher_SharesCommitsAndBadItemsFailAlone(t *testing.T) {
	onBoth(t, func(t *testing.T, at place) {
		db := at.migrated(t)
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
	})
}

func TestBatcher_ReturnsWhenTheCallersContextEnds(t *testing.T) {
	onBoth(t, func(t *testing.T, at place) {
		db := at.migrated(t)
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
	})
}

// Where no item is at fault, none is tried alone: a batch that gave way to
// another transaction is tried again whole, and of a database that is away
// everybody is told at once.
func TestBatcher_NoItemIsAtFault(t *testing.T) {
	deadlock := &pgconn.PgError{SeverityUnlocalized: "ERROR", Code: "40P01"}
	shutdown := &pgconn.PgError{SeverityUnlocalized: "FATAL", Code: "57P01"}
	for name, test := range map[string]struct {
		errs  []error // of the batches of many, one after the other; then none
		want  error
		tries int
	}{
		"a deadlock":     {[]error{deadlock}, nil, 2},
		"one after one":  {[]error{deadlock, deadlock, deadlock, deadlock}, deadlock, 3},
		"away":           {[]error{shutdown}, shutdown, 1},
		"away meanwhile": {[]error{deadlock, shutdown}, shutdown, 2},
	} {
		t.Run(name, func(t *testing.T) {
			db := place{database.Config{Driver: database.SQLite, DSN: filepath.Join(t.TempDir(), "test.db")}}.open(t)
			started, release := make(chan struct{}), make(chan struct{})
			var sizes []int
			b := database.NewBatcher(db, database.Relaxed, 100, func(_ context.Context, _ *sql.Tx, items []int) error {
				if items[0] == 0 {
					close(started)
					<-release
					return nil
				}
				sizes = append(sizes, len(items))
				if n := len(sizes); n <= len(test.errs) {
					return test.errs[n-1]
				}
				return nil
			})
			var waiting sync.WaitGroup
			waiting.Go(func() { assert.NoError(t, b.Do(t.Context(), 0)) })
			<-started
			for n := range 10 {
				waiting.Go(func() { assert.ErrorIs(t, b.Do(t.Context(), n+1), test.want) })
			}
			require.Eventually(t, func() bool { return b.Pending() == 10 }, time.Minute, time.Millisecond)
			close(release)
			waiting.Wait()
			b.Close()
			require.Len(t, sizes, test.tries)
			for _, n := range sizes {
				require.Equal(t, 10, n)
			}
		})
	}
}
