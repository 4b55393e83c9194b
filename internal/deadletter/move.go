package deadletter

import (
	"context"
	"database/sql"
	"fmt"
	"slices"
	"time"

	"github.com/answerfeed/answerfeed/app/database"
)

// Discard puts letters aside that nobody needs. For as long as they are
// [Kept], Restore brings them back.
func (d *Desk) Discard(ctx context.Context, s Selection, o Options) (Result, error) {
	return d.run(ctx, work{action: "discard", from: Dead, to: Discarded, sel: s, Options: o, do: d.moveTo(Discarded)})
}

// Restore makes discarded letters dead again.
func (d *Desk) Restore(ctx context.Context, s Selection, o Options) (Result, error) {
	return d.run(ctx, work{action: "restore", from: Discarded, to: Dead, sel: s, Options: o, do: d.moveTo(Dead)})
}

func (d *Desk) moveTo(to State) func(context.Context, *act, []*Letter, func(string, error)) ([]string, error) {
	return func(ctx context.Context, a *act, batch []*Letter, _ func(string, error)) ([]string, error) {
		ids := make([]string, len(batch))
		for i, l := range batch {
			ids[i] = l.ID
		}
		return d.move(ctx, a, ids, to)
	}
}

// movable reports that a letter may change from one state to another. What
// was discarded while it was on its way to its queue has been requeued all
// the same.
func movable(from, to State) bool {
	switch to {
	case Requeued:
		return from == Dead || from == Discarded
	case Discarded:
		return from == Dead
	default:
		return from == Discarded
	}
}

// move changes the state of those letters that may, keeps the counts, and
// raises the audit, in one transaction. It returns the ids of what changed:
// of two desks that move a letter, one does.
//
// Rows are locked in the order of their keys, letters before groups, like
// those of [Store.insert].
func (d *Desk) move(ctx context.Context, a *act, ids []string, to State) (moved []string, err error) {
	if len(ids) == 0 {
		return nil, nil
	}
	err = d.db.Update(ctx, database.Durable, func(ctx context.Context, tx *sql.Tx) error {
		moved = nil
		letters, err := d.lock(ctx, tx, ids)
		if err != nil {
			return err
		}
		changes := tally{}
		for _, l := range letters {
			if !movable(l.State, to) {
				continue
			}
			moved = append(moved, l.ID)
			if l.State == Dead {
				changes.add(l, -1)
			}
			if to == Dead {
				changes.add(l, 1)
			}
		}
		if len(moved) == 0 {
			return nil
		}
		at := d.now()
		if !d.set {
			if at, err = d.db.Stamp(ctx, tx); err != nil {
				return err
			}
		}
		var requeued, discarded sql.NullInt64
		switch to {
		case Requeued:
			requeued = micros(at)
		case Discarded:
			discarded = micros(at)
		}
		args := append([]any{string(to), requeued, discarded}, anys(moved)...)
		_, err = tx.ExecContext(ctx, d.db.SQL(`UPDATE dead_letters SET state = $1, requeued_at = $2, discarded_at = $3
			WHERE id IN (`+list(4, len(moved))+`)`), args...)
		if err != nil {
			return fmt.Errorf("marking %d letters: %w", len(moved), err)
		}
		if err := changes.apply(ctx, tx, d.db, d.sql); err != nil {
			return err
		}
		return a.raise(ctx, tx, len(moved))
	})
	if err != nil {
		return nil, fmt.Errorf("marking letters as %s: %w", to, err)
	}
	return moved, nil
}

// lock reads what a tally needs of letters, and keeps others from changing
// them.
func (d *Desk) lock(ctx context.Context, tx *sql.Tx, ids []string) ([]*Letter, error) {
	ids = slices.Sorted(slices.Values(ids))
	rows, err := tx.QueryContext(ctx, d.db.SQL(`SELECT id, state, handler, topic, reason, fingerprint, error, first_failed_at, last_failed_at
		FROM dead_letters WHERE id IN (`+list(1, len(ids))+`) ORDER BY id`+d.sql.lock), anys(ids)...)
	if err != nil {
		return nil, fmt.Errorf("locking letters: %w", err)
	}
	defer rows.Close()
	var letters []*Letter
	for rows.Next() {
		l := &Letter{}
		var first, last int64
		if err := rows.Scan(&l.ID, &l.State, &l.Handler, &l.Topic, &l.Reason, &l.Fingerprint, &l.Error, &first, &last); err != nil {
			return nil, fmt.Errorf("locking letters: %w", err)
		}
		l.FirstFailedAt, l.LastFailedAt = time.UnixMicro(first), time.UnixMicro(last)
		letters = append(letters, l)
	}
	if err := rows.Err(); err != nil {
		return nil, fmt.Errorf("locking letters: %w", err)
	}
	return letters, nil
}
