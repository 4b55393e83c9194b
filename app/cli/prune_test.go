package cli

import (
	"context"
	"database/sql"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/answerfeed/answerfeed/app/database"
)

// What waits is removed only by whoever says so, and it is on record.
func TestMigratePrune_AsksBeforeItRemovesMessages(t *testing.T) {
	here(t)
	write(t, "Posts.xml", posts)
	require.Equal(t, exitDone, worker(t, "import", "stackexchange", "--site", "s", "Posts.xml").code)
	r := worker(t, "migrate", "--prune", "feed")
	require.Equal(t, exitUsage, r.code)
	require.Contains(t, r.err, "hold 3 ready, 0 delayed, 0 in flight, 0 dead")
	require.Contains(t, r.err, "give --yes")
	require.EqualValues(t, 2, queues(t)["answer-added.feed"].Ready, "it is still there")

	db, err := database.Open(t.Context(), database.DefaultConfig())
	require.NoError(t, err)
	require.NoError(t, db.Update(t.Context(), database.Durable, func(ctx context.Context, tx *sql.Tx) error {
		_, err := tx.ExecContext(ctx, `INSERT INTO queue_readers VALUES ('another', 'answer-added.feed', CAST((unixepoch('subsec') + 14) * 1000000 AS INTEGER))`)
		return err
	}))
	require.NoError(t, db.Close())
	r = worker(t, "migrate", "--prune", "feed", "--yes")
	require.Equal(t, exitFailed, r.code)
	require.Contains(t, r.err, "a worker reads the queues of feed")
	require.EqualValues(t, 2, queues(t)["answer-added.feed"].Ready)

	r = worker(t, "migrate", "--prune", "feed", "--yes", "--force")
	require.Equal(t, exitDone, r.code, r.err)
	require.Contains(t, r.err, "removed answer-added.feed\n")
	require.EqualValues(t, 2, queues(t)["answer-added.leaderboard"].Ready)
	require.Regexp(t, `prune +3 +queues of feed`, worker(t, "deadletters", "audit").out)
}
