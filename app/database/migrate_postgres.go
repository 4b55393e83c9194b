package database

import (
	"context"
	"database/sql"
	"fmt"
	"strconv"

	"github.com/pressly/goose/v3"
	gooseDB "github.com/pressly/goose/v3/database"
)

// postgresOptions make those who migrate this schema at once wait for each
// other.
func (s Schema) postgresOptions() ([]goose.ProviderOption, error) {
	store, err := gooseDB.NewStore(gooseDB.DialectPostgres, `"`+s.Table+`"`)
	if err != nil {
		return nil, fmt.Errorf("reading migrations of %s: %w", s.Table, err)
	}
	return []goose.ProviderOption{goose.WithStore(versions{store}), goose.WithSessionLocker(turn(s.Table))}, nil
}

// versions is goose's table of versions. Goose's own look for the table does
// not find a quoted name.
type versions struct{ gooseDB.Store }

func (v versions) TableExists(ctx context.Context, db gooseDB.DBTxConn) (exists bool, err error) {
	err = db.QueryRowContext(ctx, "SELECT to_regclass($1) IS NOT NULL", v.Tablename()).Scan(&exists)
	return exists, err
}

// turn is the lock on a schema's migrations, by the name of its table.
type turn string

const turnKey = "hashtextextended('answerfeed:' || current_schema() || '.' || $1, 0)"

// SessionLock waits for the lock. Migrations take their time. But for a
// table's lock they do not wait long: whoever wants the table next waits behind
// them. They are tried again.
func (t turn) SessionLock(ctx context.Context, conn *sql.Conn) error {
	const limits = "SELECT set_config('statement_timeout', '0', false), set_config('lock_timeout', $1, false)"
	if _, err := conn.ExecContext(ctx, limits, "0"); err != nil {
		return fmt.Errorf("lifting limits for migrations: %w", err)
	}
	if _, err := conn.ExecContext(ctx, "SELECT pg_advisory_lock("+turnKey+")", string(t)); err != nil {
		return fmt.Errorf("waiting for others' migrations: %w", err)
	}
	if _, err := conn.ExecContext(ctx, limits, strconv.FormatInt(pgLockWait.Milliseconds(), 10)); err != nil {
		return fmt.Errorf("limiting locks of migrations: %w", err)
	}
	return nil
}

// SessionUnlock ends the connection, and with it the lock and its settings:
// the pool takes another in its place.
func (t turn) SessionUnlock(_ context.Context, conn *sql.Conn) error {
	return conn.Raw(func(c any) error {
		own, ok := c.(pgConn)
		if !ok {
			return fmt.Errorf("the connection is a %T", c)
		}
		return own.Conn.Close()
	})
}

func explainMigration(err error) error {
	if sqlState(err) == pgNotAllowed {
		return fmt.Errorf("this user may not create tables here; GRANT CREATE ON SCHEMA to it, or let another run `worker migrate`: %w", err)
	}
	return err
}
