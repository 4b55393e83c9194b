package database

import (
	"context"
	"database/sql"
	"fmt"
)

// Mark notes that a handler begins an attempt at a message that the process may
// not survive, and returns how many such marks were left behind before. A mark
// survives the process; a power cut may forget it. requeues counts how often a
// person sent the message back, which is a new beginning.
func (db *DB) Mark(ctx context.Context, handler, topic, identity string, requeues int) (left int, err error) {
	err = db.Update(ctx, Relaxed, func(ctx context.Context, tx *sql.Tx) error {
		return tx.QueryRowContext(ctx, db.SQL(`INSERT INTO crash_marks (handler, topic, identity, requeues, marks, marked_at) VALUES ($1, $2, $3, $4, 1, $5)
			ON CONFLICT (handler, topic, identity, requeues) DO UPDATE SET marks = crash_marks.marks + 1, marked_at = excluded.marked_at RETURNING marks - 1`),
			handler, topic, identity, requeues, db.now().UnixMicro()).Scan(&left)
	})
	if err != nil {
		return 0, fmt.Errorf("marking an attempt: %w", err)
	}
	return left, nil
}

// Unmark erases the marks: the process has survived.
func (db *DB) Unmark(ctx context.Context, handler, topic, identity string, requeues int) error {
	err := db.Update(ctx, Relaxed, func(ctx context.Context, tx *sql.Tx) error {
		_, err := tx.ExecContext(ctx, db.SQL(`DELETE FROM crash_marks WHERE handler = $1 AND topic = $2 AND identity = $3 AND requeues = $4`),
			handler, topic, identity, requeues)
		return err
	})
	if err != nil {
		return fmt.Errorf("erasing the mark of an attempt: %w", err)
	}
	return nil
}

// pruneMarks forgets what nobody has come back to since the moment.
func (db *DB) pruneMarks(ctx context.Context, before int64) error {
	return db.Update(ctx, Relaxed, func(ctx context.Context, tx *sql.Tx) error {
		if _, err := tx.ExecContext(ctx, db.SQL(`DELETE FROM crash_marks WHERE marked_at < $1`), before); err != nil {
			return fmt.Errorf("pruning marks: %w", err)
		}
		return nil
	})
}
