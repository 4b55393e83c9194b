package deadletter

import (
	"context"
	"database/sql"
	"fmt"
	"time"

	"github.com/answerfeed/answerfeed/app/database"
)

// Act is one line of the audit: who did what to how many letters, and when.
type Act struct {
	At time.Time
	// EndedAt is zero while the act is under way, and for ever if it was cut
	// short.
	EndedAt time.Time
	Who     string
	// Action is requeue, discard, restore, export, or prune of queues.
	Action string
	// Selection tells which letters were meant.
	Selection string
	// Letters is how many it was done to, exact also if it was cut short.
	Letters int
}

// Audit returns the last acts, newest first.
func (d *Desk) Audit(ctx context.Context, limit int) ([]Act, error) {
	if limit < 1 || limit > MaxLimit {
		return nil, fmt.Errorf("a limit of %d %w; it must be 1 to %d", limit, ErrFilter, MaxLimit)
	}
	rows, err := d.db.Read().QueryContext(ctx, d.db.SQL(`SELECT at, ended_at, who, action, selection, letters
		FROM dead_letter_audit ORDER BY id DESC LIMIT $1`), limit)
	if err != nil {
		return nil, fmt.Errorf("reading the audit: %w", err)
	}
	defer rows.Close()
	var acts []Act
	for rows.Next() {
		var a Act
		var at, ended sql.NullInt64
		if err := rows.Scan(&at, &ended, &a.Who, &a.Action, &a.Selection, &a.Letters); err != nil {
			return nil, fmt.Errorf("reading the audit: %w", err)
		}
		a.At, a.EndedAt = moment(at), moment(ended)
		acts = append(acts, a)
	}
	if err := rows.Err(); err != nil {
		return nil, fmt.Errorf("reading the audit: %w", err)
	}
	return acts, nil
}

// act is an act under way: a row that each transaction of it raises, so that
// the audit is right also after a crash.
type act struct {
	desk    *Desk
	id      int64
	action  string
	meant   string
	letters int
}

// begin writes the row. Nothing is done to any letter before.
func (d *Desk) begin(ctx context.Context, action, meant string) (*act, error) {
	a := &act{desk: d, action: action, meant: text(meant)}
	err := d.db.Update(ctx, database.Durable, func(ctx context.Context, tx *sql.Tx) error {
		return tx.QueryRowContext(ctx, d.db.SQL(`INSERT INTO dead_letter_audit (at, who, action, selection, letters)
			VALUES ($1, $2, $3, $4, 0) RETURNING id`), d.now().UnixMicro(), d.who, a.action, a.meant).Scan(&a.id)
	})
	if err != nil {
		return nil, fmt.Errorf("writing the audit: %w", err)
	}
	return a, nil
}

// Record writes an act that is done beside the desk, to n messages, into the
// audit: before it is begun, and when it has ended.
func (d *Desk) Record(ctx context.Context, action, meant string, n int, do func(context.Context) error) error {
	a, err := d.begin(ctx, action, meant)
	if err != nil {
		return err
	}
	if err := do(ctx); err != nil {
		return a.end(ctx, err)
	}
	a.letters = n
	err = d.db.Update(ctx, database.Durable, func(ctx context.Context, tx *sql.Tx) error { return a.raise(ctx, tx, n) })
	return a.end(context.WithoutCancel(ctx), err)
}

// raise counts n letters, in the transaction that changes them.
func (a *act) raise(ctx context.Context, tx *sql.Tx, n int) error {
	if _, err := tx.ExecContext(ctx, a.desk.db.SQL(`UPDATE dead_letter_audit SET letters = letters + $1 WHERE id = $2`), n, a.id); err != nil {
		return fmt.Errorf("writing the audit: %w", err)
	}
	return nil
}

// end says that the act came to its end, and logs it. What it did stays done
// when that fails.
func (a *act) end(ctx context.Context, failed error) error {
	d := a.desk
	if failed != nil {
		d.log.WarnContext(ctx, "an act at the dead-letter desk was cut short", "action", a.action, "who", d.who, "selection", a.meant, "letters", a.letters, "error", failed)
		return failed
	}
	d.log.InfoContext(ctx, "dead-letter desk", "action", a.action, "who", d.who, "selection", a.meant, "letters", a.letters)
	err := d.db.Update(ctx, database.Durable, func(ctx context.Context, tx *sql.Tx) error {
		_, err := tx.ExecContext(ctx, d.db.SQL(`UPDATE dead_letter_audit SET ended_at = $1 WHERE id = $2`), d.now().UnixMicro(), a.id)
		return err
	})
	if err != nil {
		return fmt.Errorf("writing the audit: %w", err)
	}
	return nil
}
