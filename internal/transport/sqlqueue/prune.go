package sqlqueue

import (
	"context"
	stdsql "database/sql"
	"fmt"
	"slices"

	"github.com/answerfeed/answerfeed/app/database"
)

// pruneBatch bounds one transaction of Prune.
const pruneBatch = 1000

// Prune takes the handler's queues out of use, then removes in small steps the
// messages of queues that are no more: also those that an earlier Prune, which
// did not come to its end, left behind. A consumer that runs makes its queue
// again, empty.
func (t *Transport) Prune(ctx context.Context, handler string) (names []string, err error) {
	err = t.db.Update(ctx, database.Durable, func(ctx context.Context, tx *stdsql.Tx) error {
		if names, err = column[string](tx.QueryContext(ctx, t.queries.queuesOf, handler)); err != nil {
			return err
		}
		_, err = tx.ExecContext(ctx, t.queries.retire, handler)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("removing the queues of %s: %w", handler, err)
	}
	slices.Sort(names)
	orphans, err := column[int64](t.db.Read().QueryContext(ctx, t.queries.orphans))
	if err != nil {
		return names, fmt.Errorf("looking for messages without a queue: %w", err)
	}
	for _, queue := range orphans {
		for removed := int64(pruneBatch); removed == pruneBatch; {
			err := t.db.Update(ctx, database.Relaxed, func(ctx context.Context, tx *stdsql.Tx) error {
				result, err := tx.ExecContext(ctx, t.queries.dropMessages, queue, pruneBatch)
				if err != nil {
					return err
				}
				removed, err = result.RowsAffected()
				return err
			})
			if err != nil {
				return names, fmt.Errorf("removing messages without a queue: %w", err)
			}
		}
	}
	err = t.db.Update(ctx, database.Durable, func(ctx context.Context, tx *stdsql.Tx) error {
		_, err := tx.ExecContext(ctx, t.queries.dropRetired)
		return err
	})
	if err != nil {
		return names, fmt.Errorf("removing queues without messages: %w", err)
	}
	return names, nil
}

// Readers is how many processes read the handler's queues now, or did so
// within the last readFor. One that knows nothing of saying so, of an older
// version, counts while it holds messages.
func (t *Transport) Readers(ctx context.Context, handler string) (n int, err error) {
	if err := t.db.Read().QueryRowContext(ctx, t.queries.readers, handler, readFor.Microseconds()).Scan(&n); err != nil {
		return 0, fmt.Errorf("looking who reads the queues of %s: %w", handler, err)
	}
	all, err := t.Backlog(ctx)
	for _, b := range all {
		if b.Handler == handler && b.InFlight > 0 {
			n = max(n, 1)
		}
	}
	return n, err
}
