package outbox

import (
	"context"
	"fmt"
	"time"

	"github.com/answerfeed/answerfeed/app/database"
)

// Backlog is what waits in the outbox.
type Backlog struct {
	Waiting int64 // stored, and not yet confirmed by the transport
	Failing int64 // those among them that were tried in vain
	// Oldest is the age of the event that was stored first, 0 when none waits.
	Oldest time.Duration
}

// Count reads the backlog. It looks at every row.
func Count(ctx context.Context, db *database.DB) (Backlog, error) {
	var b Backlog
	var stored int64
	err := db.Read().QueryRowContext(ctx, `SELECT count(*), count(*) FILTER (WHERE tries > 0),
		coalesce((SELECT created_at FROM outbox ORDER BY id LIMIT 1), 0) FROM outbox`).Scan(&b.Waiting, &b.Failing, &stored)
	if err != nil {
		return Backlog{}, fmt.Errorf("counting the outbox: %w", err)
	}
	if b.Waiting > 0 {
		b.Oldest = max(0, time.Since(time.UnixMicro(stored)))
	}
	return b, nil
}
