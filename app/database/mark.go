package database

import (
	"context"
	"database/sql"
	"fmt"
)

// pruneMarks forgets the marks of older workers to which none has come back
// since the moment. This worker makes none: see the package suspect.
func (db *DB) pruneMarks(ctx context.Context, before int64) error {
	return db.Update(ctx, Relaxed, func(ctx context.Context, tx *sql.Tx) error {
		if _, err := tx.ExecContext(ctx, db.SQL(`DELETE FROM crash_marks WHERE marked_at < $1`), before); err != nil {
			return fmt.Errorf("pruning marks: %w", err)
		}
		return nil
	})
}
