package sqlqueue

import (
	"context"
	stdsql "database/sql"
	"fmt"

	"github.com/answerfeed/answerfeed/app/database"
	"github.com/answerfeed/answerfeed/internal/transport"
)

// Remove drops the tables of the prefix, all at once. A SQLite file keeps its
// size, and uses the room again.
func (t *Transport) Remove(ctx context.Context, _ []transport.Subscription) error {
	if t.cfg.Prefix == "" {
		return fmt.Errorf("removing the queue tables: %w", transport.ErrNoPrefix)
	}
	err := t.db.Update(ctx, database.Durable, func(ctx context.Context, tx *stdsql.Tx) error {
		for _, drop := range t.queries.dropTables {
			if _, err := tx.ExecContext(ctx, drop); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("removing the queue tables of prefix %s: %w", t.cfg.Prefix, err)
	}
	return nil
}
