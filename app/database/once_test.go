package database_test

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/answerfeed/answerfeed/app/database"
)

func TestOnce_TakesEffectOnceForAnIdentity(t *testing.T) {
	onBoth(t, func(t *testing.T, at place) {
		db := at.migrated(t)
		var wg sync.WaitGroup
		for i := range 200 {
			wg.Go(func() {
				identity := i % 20
				err := db.Once(t.Context(), "counter", "viewed", fmt.Sprint(identity), func(ctx context.Context, tx *sql.Tx) error {
					return insert(ctx, tx, identity)
				})
				assert.NoError(t, err)
			})
		}
		wg.Wait()
		require.Equal(t, 20, count(t, db, "effects"))
		require.Equal(t, 20, count(t, db, "inbox"))
	})
}

func TestOnce_AFailedEffectLeavesNoNote(t *testing.T) {
	onBoth(t, func(t *testing.T, at place) {
		db := at.migrated(t)
		boom := errors.New("boom")
		fail := func(ctx context.Context, tx *sql.Tx) error {
			return errors.Join(insert(ctx, tx, 1), boom)
		}
		require.ErrorIs(t, db.Once(t.Context(), "h", "t", "id", fail), boom)
		require.Zero(t, count(t, db, "inbox"))
		require.Zero(t, count(t, db, "effects"))
		require.NoError(t, db.Once(t.Context(), "h", "t", "id", func(ctx context.Context, tx *sql.Tx) error { return insert(ctx, tx, 1) }))
		require.Equal(t, 1, count(t, db, "effects"))
	})
}

// Many share a commit, and each has the values of its own context: what is
// published inside belongs to the message that is being handled.
func TestOnce_KeepsTheCallersValues(t *testing.T) {
	onBoth(t, func(t *testing.T, at place) {
		type key struct{}
		db := at.migrated(t)
		var wg sync.WaitGroup
		for i := range 100 {
			wg.Go(func() {
				ctx := context.WithValue(t.Context(), key{}, i)
				assert.NoError(t, db.Once(ctx, "h", "t", fmt.Sprint(i), func(ctx context.Context, tx *sql.Tx) error {
					assert.Equal(t, i, ctx.Value(key{}))
					return insert(ctx, tx, i)
				}))
			})
		}
		wg.Wait()
		require.Equal(t, 100, count(t, db, "effects"))
	})
}

// Processes that prune at once get in nobody's way.
func TestPruneInbox_ForgetsOnlyWhatIsOld(t *testing.T) {
	onBoth(t, func(t *testing.T, at place) {
		handles := []*database.DB{at.migrated(t), at.open(t), at.open(t)}
		db := handles[0]
		do(t, db, `WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i+1 FROM n WHERE i < 7500)
			INSERT INTO inbox SELECT 'h', 't', 'old' || i, 1 FROM n`)
		require.NoError(t, db.Once(t.Context(), "h", "t", "new", func(context.Context, *sql.Tx) error { return nil }))
		var removed atomic.Int64
		var wg sync.WaitGroup
		for _, db := range handles {
			wg.Go(func() {
				n, err := db.PruneInbox(t.Context())
				removed.Add(n)
				assert.NoError(t, err)
			})
		}
		wg.Wait()
		last, err := db.PruneInbox(t.Context()) // what others had locked
		require.NoError(t, err)
		require.EqualValues(t, 7500, removed.Load()+last)
		require.Equal(t, 1, count(t, db, "inbox"))
	})
}
