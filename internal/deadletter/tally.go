package deadletter

import (
	"cmp"
	"context"
	"database/sql"
	"fmt"
	"maps"
	"slices"

	"github.com/answerfeed/answerfeed/app/database"
)

// tally gathers what a transaction does to the kept counts.
type tally map[groupKey]change

type groupKey struct{ fingerprint, topic string }

type change struct {
	handler, reason, error string
	letters                int
	first, last            int64 // microseconds
}

// add counts n letters like l in state dead, or -n less.
func (t tally) add(l *Letter, n int) {
	key := groupKey{l.Fingerprint, l.Topic}
	c, known := t[key]
	if !known {
		c = change{handler: l.Handler, reason: l.Reason, error: l.Error, first: l.FirstFailedAt.UnixMicro(), last: l.LastFailedAt.UnixMicro()}
	}
	c.letters += n
	c.first = min(c.first, l.FirstFailedAt.UnixMicro())
	c.last = max(c.last, l.LastFailedAt.UnixMicro())
	t[key] = c
}

// apply writes the counts in the order of their keys.
func (t tally) apply(ctx context.Context, tx *sql.Tx, db *database.DB, d dialect) error {
	if len(t) == 0 {
		return nil
	}
	stmt, err := tx.PrepareContext(ctx, db.SQL(`INSERT INTO dead_letter_groups (fingerprint, handler, topic, reason, error, letters, first_failed_at, last_failed_at)
		VALUES ($1, $2, $3, $4, $5, $6, $7, $8) ON CONFLICT (fingerprint, topic) DO UPDATE SET letters = dead_letter_groups.letters + excluded.letters,
		first_failed_at = `+d.least+`(dead_letter_groups.first_failed_at, excluded.first_failed_at),
		last_failed_at = `+d.greatest+`(dead_letter_groups.last_failed_at, excluded.last_failed_at)`))
	if err != nil {
		return fmt.Errorf("preparing to count: %w", err)
	}
	defer stmt.Close()
	keys := slices.SortedFunc(maps.Keys(t), func(a, b groupKey) int {
		return cmp.Or(cmp.Compare(a.fingerprint, b.fingerprint), cmp.Compare(a.topic, b.topic))
	})
	for _, key := range keys {
		c := t[key]
		if _, err := stmt.ExecContext(ctx, key.fingerprint, c.handler, key.topic, c.reason, c.error, c.letters, c.first, c.last); err != nil {
			return fmt.Errorf("counting: %w", err)
		}
	}
	return nil
}
