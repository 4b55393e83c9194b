package database

import (
	"context"
	"database/sql"
	"fmt"
	"time"
)

const (
	// onceBatch is how many effects share one commit.
	onceBatch = 256
	// InboxKept is how long the inbox remembers what was handled. A message
	// that is delivered again later than this takes effect again.
	InboxKept = 30 * 24 * time.Hour
	// pruneBatch bounds one transaction of PruneInbox.
	pruneBatch = 1000
)

type onceCall struct {
	handler, topic, identity string
	fn                       func(ctx context.Context, tx *sql.Tx) error
}

// Once runs fn, in one transaction with a note in the inbox that handler has
// handled this message of topic; when the note is there already, fn is not
// run and Once returns nil. So an effect that is not idempotent by itself
// happens once, however often the message comes within [InboxKept].
//
// Effects of several callers share a commit. When it fails, each fn is run
// again in a transaction of its own: fn must touch nothing but tx.
func (db *DB) Once(ctx context.Context, handler, topic, identity string, fn func(ctx context.Context, tx *sql.Tx) error) error {
	return db.once.Do(ctx, onceCall{handler, topic, identity, fn})
}

func (db *DB) applyOnce(ctx context.Context, tx *sql.Tx, calls []onceCall) error {
	q := db.SQL(`INSERT INTO inbox (handler, topic, identity, handled_at) VALUES ($1, $2, $3, $4) ON CONFLICT DO NOTHING`)
	note, err := tx.PrepareContext(ctx, q)
	if err != nil {
		return fmt.Errorf("preparing the inbox: %w", err)
	}
	defer note.Close()
	at := db.now().UnixMicro()
	for _, c := range calls {
		result, err := note.ExecContext(ctx, c.handler, c.topic, c.identity, at)
		if err != nil {
			return fmt.Errorf("writing the inbox: %w", err)
		}
		if n, err := result.RowsAffected(); err != nil || n == 0 {
			if err != nil {
				return fmt.Errorf("writing the inbox: %w", err)
			}
			continue
		}
		if err := c.fn(ctx, tx); err != nil {
			return err
		}
	}
	return nil
}

// PruneInbox forgets what was handled longer than InboxKept ago, in small
// transactions, and returns how many notes it removed.
func (db *DB) PruneInbox(ctx context.Context) (removed int64, err error) {
	before := db.now().Add(-InboxKept).UnixMicro()
	q := db.SQL(`DELETE FROM inbox WHERE (handler, topic, identity) IN (SELECT handler, topic, identity FROM inbox WHERE handled_at < $1 LIMIT $2)`)
	for {
		var n int64
		err := db.Update(ctx, Relaxed, func(ctx context.Context, tx *sql.Tx) error {
			result, err := tx.ExecContext(ctx, q, before, pruneBatch)
			if err != nil {
				return fmt.Errorf("pruning the inbox: %w", err)
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
