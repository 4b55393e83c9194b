package database

import (
	"context"
	"fmt"

	"github.com/jackc/pgx/v5"

	"github.com/answerfeed/answerfeed/internal/crashpoint"
)

// Together runs statements as one transaction in one round trip, where
// [DB.Update] takes one for each and two more; on PostgreSQL alone. None can
// depend on what another returns. begun is called when a connection was had.
// As of Update, an error may be [ErrUnknownOutcome].
//
// Without BEGIN, what is sent before the next Sync message is one transaction:
// https://www.postgresql.org/docs/current/protocol-flow.html#PROTOCOL-FLOW-PIPELINING
func (db *DB) Together(ctx context.Context, d Durability, begun func(), batch *pgx.Batch) error {
	conn, err := db.write.Conn(ctx)
	if err != nil {
		return db.troubled(fmt.Errorf("beginning a transaction: %w", err), true)
	}
	defer conn.Close() // gives it back to the pool
	begun()
	if d == Relaxed {
		relaxed := &pgx.Batch{}
		relaxed.Queue("SELECT set_config('synchronous_commit', 'off', true)")
		relaxed.QueuedQueries = append(relaxed.QueuedQueries, batch.QueuedQueries...)
		batch = relaxed
	}
	crashpoint.At(crashpoint.BeforeCommit)
	err = conn.Raw(func(driverConn any) error {
		c, ok := driverConn.(pgConn)
		if !ok {
			return fmt.Errorf("the connection is a %T", driverConn)
		}
		return c.Conn.Conn().SendBatch(ctx, batch).Close()
	})
	if err != nil && unknownOutcome(err) {
		return fmt.Errorf("running statements together: %w: %w", ErrUnknownOutcome, err)
	}
	return db.troubled(err, false)
}
