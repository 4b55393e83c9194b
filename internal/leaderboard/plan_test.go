package leaderboard

import (
	"context"
	"database/sql"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/answerfeed/answerfeed/app/database"
)

// The list goes through the index in its own order, as far as the limit, and
// sorts nothing.
func TestTopHasAnIndex(t *testing.T) {
	t.Run(database.SQLite, func(t *testing.T) {
		db := openDB(t, database.SQLite)
		var id, parent, unused int
		var step string
		rows, err := db.Read().QueryContext(t.Context(), "EXPLAIN QUERY PLAN "+db.SQL(readTop), 5)
		require.NoError(t, err)
		defer rows.Close()
		require.True(t, rows.Next())
		require.NoError(t, rows.Scan(&id, &parent, &unused, &step))
		require.Equal(t, "SCAN leaderboard_authors USING COVERING INDEX leaderboard_top", step)
		require.False(t, rows.Next())
	})
	t.Run(database.Postgres, func(t *testing.T) {
		db := openDB(t, database.Postgres)
		require.NoError(t, db.Update(t.Context(), database.Relaxed, func(ctx context.Context, tx *sql.Tx) error {
			_, err := tx.ExecContext(ctx, `INSERT INTO leaderboard_authors SELECT 'u' || i, i * 31 % 1000 FROM generate_series(1, 20000) i; ANALYZE leaderboard_authors`)
			return err
		}))
		rows, err := db.Read().QueryContext(t.Context(), "EXPLAIN (ANALYZE, COSTS OFF, BUFFERS OFF, TIMING OFF, SUMMARY OFF) "+readTop, 5)
		require.NoError(t, err)
		defer rows.Close()
		var steps []string
		for rows.Next() {
			var step string
			require.NoError(t, rows.Scan(&step))
			steps = append(steps, step)
		}
		require.NoError(t, rows.Err())
		require.Contains(t, steps[0], "Limit (actual rows=5")
		require.Regexp(t, `Index (Only )?Scan using leaderboard_top on leaderboard_authors \(actual rows=5`, steps[1])
	})
}
