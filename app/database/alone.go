package database

import (
	"context"
	"database/sql"
	"fmt"
)

// Alone executes statements of which each is a transaction of its own, Durable.
// On PostgreSQL that takes one round trip where [DB.Update] takes three; on
// SQLite it would not wait for the lock as Update does.
type Alone struct {
	*sql.DB
	of *DB
}

// Alone is the database for such statements.
func (db *DB) Alone() Alone { return Alone{db.write, db} }

// ExecContext executes one. As of [DB.Update], an error may be
// [ErrUnknownOutcome].
func (a Alone) ExecContext(ctx context.Context, query string, args ...any) (sql.Result, error) {
	result, err := a.DB.ExecContext(ctx, query, args...)
	if err != nil && unknownOutcome(err) {
		return nil, fmt.Errorf("executing a statement: %w: %w", ErrUnknownOutcome, err)
	}
	return result, a.of.troubled(err, false)
}
