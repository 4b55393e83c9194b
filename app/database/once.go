package database

import (
	"cmp"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"slices"
	"sync/atomic"
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
	begun                    *atomic.Bool // fn was called
}

// Once runs fn, in one transaction with a note in the inbox that handler has
// handled this message of topic; when the note is there already, fn is not
// run and Once returns nil. So an effect that is not idempotent by itself
// happens once, however often the message comes within [InboxKept].
//
// Effects of several callers share a commit. When it fails, each fn is run
// again in a transaction of its own: fn must touch nothing but tx. Its context
// is the commit's, with the values of the caller's: what fn publishes and logs
// belongs to the caller's message.
func (db *DB) Once(ctx context.Context, handler, topic, identity string, fn func(ctx context.Context, tx *sql.Tx) error) error {
	begun := new(atomic.Bool)
	return db.once.Do(ctx, onceCall{handler, topic, identity, func(commit context.Context, tx *sql.Tx) error {
		begun.Store(true)
		return fn(withValues{commit, ctx}, tx)
	}, begun})
}

// onceLate tells the time that a call waited for the database, which is
// [Trouble], from the time that its fn took.
func (db *DB) onceLate(c onceCall, err error) error {
	return db.troubled(fmt.Errorf("waiting for the database: %w", err), !c.begun.Load())
}

// withValues is a context with the values of another.
type withValues struct {
	context.Context
	values context.Context //nolint:containedctx // that is what it is
}

func (c withValues) Value(key any) any {
	if v := c.values.Value(key); v != nil {
		return v
	}
	return c.Context.Value(key)
}

// applyOnce writes all notes before it runs any fn, and in the order of their
// keys: so processes whose batches overlap wait for each other, one way.
func (db *DB) applyOnce(ctx context.Context, tx *sql.Tx, calls []onceCall) error {
	order := slices.Clone(calls) // the batch's own order is not ours to change
	slices.SortStableFunc(order, compareKeys)
	order = slices.CompactFunc(order, func(a, b onceCall) bool { return compareKeys(a, b) == 0 })
	write := db.noteSQLite
	if db.driver == Postgres {
		write = db.notePostgres
	}
	fresh, err := write(ctx, tx, order)
	if err != nil {
		return db.troubled(fmt.Errorf("writing the inbox: %w", err), true)
	}
	for _, c := range fresh {
		if err := c.fn(ctx, tx); err != nil {
			return err
		}
	}
	return nil
}

func compareKeys(a, b onceCall) int {
	return cmp.Or(cmp.Compare(a.handler, b.handler), cmp.Compare(a.topic, b.topic), cmp.Compare(a.identity, b.identity))
}

// noteSQLite returns the calls that had no note.
func (db *DB) noteSQLite(ctx context.Context, tx *sql.Tx, calls []onceCall) (fresh []onceCall, err error) {
	at, err := db.Stamp(ctx, tx)
	if err != nil {
		return nil, err
	}
	note, err := tx.PrepareContext(ctx, `INSERT INTO inbox (handler, topic, identity, handled_at) VALUES (?, ?, ?, ?) ON CONFLICT DO NOTHING`)
	if err != nil {
		return nil, err
	}
	defer note.Close()
	for _, c := range calls {
		result, err := note.ExecContext(ctx, c.handler, c.topic, c.identity, at.UnixMicro())
		if err != nil {
			return nil, err
		}
		n, err := result.RowsAffected()
		if err != nil {
			return nil, err
		}
		if n == 1 {
			fresh = append(fresh, c)
		}
	}
	return fresh, nil
}

// notePostgres does the same in one round trip. Rows are inserted in the order
// of the arrays; one that another transaction is writing is waited for.
func (db *DB) notePostgres(ctx context.Context, tx *sql.Tx, calls []onceCall) (fresh []onceCall, err error) {
	handlers, topics, identities := make([]string, len(calls)), make([]string, len(calls)), make([]string, len(calls))
	for i, c := range calls {
		handlers[i], topics[i], identities[i] = c.handler, c.topic, c.identity
	}
	stamp, at := db.stampExpr("$4")
	rows, err := tx.QueryContext(ctx, `INSERT INTO inbox (handler, topic, identity, handled_at)
		SELECT h, t, i, (SELECT `+stamp+`) FROM unnest($1::text[], $2::text[], $3::text[]) AS note (h, t, i)
		ON CONFLICT DO NOTHING RETURNING handler, topic, identity`, handlers, topics, identities, at)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	for rows.Next() {
		var c onceCall
		if err := rows.Scan(&c.handler, &c.topic, &c.identity); err != nil {
			return nil, err
		}
		i, found := slices.BinarySearchFunc(calls, c, compareKeys)
		if !found {
			return nil, errors.New("it returned a note that was not asked for")
		}
		fresh = append(fresh, calls[i])
	}
	return fresh, rows.Err()
}

// PruneInbox forgets what was handled longer than InboxKept ago, by the time of
// [DB.PassTime], in small transactions, and returns how many notes it removed.
func (db *DB) PruneInbox(ctx context.Context) (removed int64, err error) {
	until, _, err := db.PassTime(ctx)
	if err != nil {
		return 0, err
	}
	before := until.Add(-InboxKept).UnixMicro()
	q := `DELETE FROM inbox WHERE (handler, topic, identity) IN (SELECT handler, topic, identity FROM inbox WHERE handled_at < ?1 LIMIT ?2)`
	if db.driver == Postgres { // of several workers at once each takes its share
		q = `DELETE FROM inbox WHERE ctid = ANY(ARRAY(SELECT ctid FROM inbox WHERE handled_at < $1 LIMIT $2 FOR UPDATE SKIP LOCKED))`
	}
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
		if err == nil && n < pruneBatch {
			err = db.pruneMarks(ctx, before)
		}
		if err != nil || n < pruneBatch {
			return removed, err
		}
	}
}
