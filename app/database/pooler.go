package database

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
)

// errPooler is what to do about a pooler that shares a session among clients.
var errPooler = errors.New("a pooler in front of PostgreSQL gives each transaction another session; " +
	"set its pool_mode to session for this database or user, or name the server itself")

// poolerTries is how many connections are held at once to find out how a pooler
// shares sessions.
const poolerTries = 3

// checkPooler refuses a pooler in transaction mode: it mixes up the settings of
// sessions, their prepared statements, and the lock of migrations.
//
// A server tells the process of a session when the connection is made; behind a
// pooler that is the pooler's own number, and another than that of the session.
// Then connections are held in transactions. One that is given the session of
// another, which is still connected, shows that sessions are shared.
func (db *DB) checkPooler(ctx context.Context) error {
	conn, err := db.probe.Conn(ctx)
	if err != nil {
		return err
	}
	defer conn.Close()
	session, told, err := sessionOf(ctx, conn)
	if err != nil || session == told {
		return err
	}
	for range min(poolerTries, db.write.Stats().MaxOpenConnections) {
		tx, err := db.write.BeginTx(ctx, nil)
		if err != nil {
			return err
		}
		defer tx.Rollback() //nolint:errcheck,gocritic // nothing was written; all are held until the end
		var other uint32
		if err := tx.QueryRowContext(ctx, "SELECT pg_backend_pid()").Scan(&other); err != nil {
			return err
		}
		if other == session {
			return errPooler
		}
	}
	return nil
}

// sessionOf returns the server's process that serves a connection, and the one
// that was told when it was made.
func sessionOf(ctx context.Context, conn *sql.Conn) (session, told uint32, err error) {
	if err := conn.QueryRowContext(ctx, "SELECT pg_backend_pid()").Scan(&session); err != nil {
		return 0, 0, err
	}
	err = conn.Raw(func(c any) error {
		own, ok := c.(reader)
		if !ok {
			return fmt.Errorf("the connection is a %T", c)
		}
		told = own.Conn.Conn().PgConn().PID()
		return nil
	})
	return session, told, err
}
