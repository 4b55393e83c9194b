package database

import (
	"context"
	"crypto/rand"
	"database/sql"
	"fmt"
)

// trialSize is more than the free pages that a full disk may have left in the
// files, and no more than what one event may bring.
const trialSize = 256 << 10

// TryWrite writes as much as a large event brings, flushed to the disk: proof
// that the database takes writes again, for want of a message that would prove
// it. It fails while others write to a SQLite file until ctx ends, which says
// nothing about the file.
func (db *DB) TryWrite(ctx context.Context) error {
	filler := make([]byte, trialSize)
	_, _ = rand.Read(filler) // never fails; a disk may keep what repeats in less
	return db.Update(ctx, Durable, func(ctx context.Context, tx *sql.Tx) error {
		_, err := tx.ExecContext(ctx, db.SQL(`INSERT INTO write_trial (id, filler) VALUES (1, $1) ON CONFLICT (id) DO UPDATE SET filler = excluded.filler`), filler)
		if err != nil {
			return fmt.Errorf("writing to the database for a trial: %w", err)
		}
		return nil
	})
}
