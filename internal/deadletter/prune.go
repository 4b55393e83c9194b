package deadletter

import (
	"context"
	"database/sql"
	"fmt"
	"time"

	"github.com/answerfeed/answerfeed/app/database"
)

// pruneBatch bounds one transaction of Prune.
const pruneBatch = 200

// Prune forgets the letters that were requeued or discarded longer ago than
// [Kept], in small transactions, and returns how many. Dead letters and the
// audit are kept for ever.
func (s *Store) Prune(ctx context.Context) (int64, error) {
	now, _, err := s.db.PassTime(ctx)
	if err != nil {
		return 0, err
	}
	return prune(ctx, s.db, s.sql, now)
}

func prune(ctx context.Context, db *database.DB, d dialect, now time.Time) (removed int64, err error) {
	before := now.Add(-Kept).UnixMicro()
	for _, column := range []string{"requeued_at", "discarded_at"} {
		n, err := inBatches(ctx, db, `DELETE FROM dead_letters WHERE id IN (SELECT id FROM dead_letters WHERE `+column+` < $1 LIMIT $2`+d.free+`)`, before)
		removed += n
		if err != nil {
			return removed, fmt.Errorf("pruning dead letters: %w", err)
		}
	}
	// A group without any letter, in whatever state, is an old problem.
	_, err = inBatches(ctx, db, `DELETE FROM dead_letter_groups WHERE (fingerprint, topic) IN (
		SELECT fingerprint, topic FROM dead_letter_groups AS g WHERE letters = 0 AND last_failed_at < $1
		AND NOT EXISTS (SELECT 1 FROM dead_letters AS l WHERE l.state = 'requeued' AND l.fingerprint = g.fingerprint)
		AND NOT EXISTS (SELECT 1 FROM dead_letters AS l WHERE l.state = 'discarded' AND l.fingerprint = g.fingerprint)
		LIMIT $2`+d.free+`)`, before)
	if err != nil {
		return removed, fmt.Errorf("pruning groups of dead letters: %w", err)
	}
	return removed, nil
}

// inBatches deletes until there is less than a batch.
func inBatches(ctx context.Context, db *database.DB, q string, before int64) (removed int64, err error) {
	for {
		var n int64
		err := db.Update(ctx, database.Relaxed, func(ctx context.Context, tx *sql.Tx) error {
			result, err := tx.ExecContext(ctx, db.SQL(q), before, pruneBatch)
			if err != nil {
				return err
			}
			n, err = result.RowsAffected()
			return err
		})
		removed += n
		if err != nil || n < pruneBatch {
			return removed, err
		}
	}
}
