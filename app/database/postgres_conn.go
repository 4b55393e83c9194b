package database

import (
	"context"
	"database/sql/driver"
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/stdlib"
)

// use is what a pool's connections are for.
type use int

const (
	writing use = iota
	reading
)

// connections makes pgx's connections with two habits of our own: one that
// turns out to be cut before anything was done on it is reported as
// driver.ErrBadConn, so that database/sql takes another; and a transaction
// begins in one round trip, relaxed or not. Measured with one insert and no
// flush: 250 µs, by a statement of its own for the setting 330, by connections
// set apart for it 240 to 300.
type connections struct {
	driver.Connector
	use        use
	generation *generation
}

// generation counts how often all connections of a database were given up.
type generation struct{ atomic.Int64 }

// renewAfter gives up all connections, each as soon as it is free, after an
// error that tells that new ones would fare better: they lead to a primary that
// is a standby by now, or hold statements that were prepared before the tables
// were altered.
func (db *DB) renewAfter(err error) {
	switch sqlState(err) {
	case pgReadOnly, pgStalePlan, pgNoSuchStatement:
		db.generation.Add(1)
	}
}

func (cs connections) Connect(ctx context.Context) (driver.Conn, error) {
	born := cs.generation.Load()
	made, err := cs.Connector.Connect(ctx)
	if err != nil {
		return nil, err
	}
	conn, ok := made.(*stdlib.Conn)
	if !ok {
		return nil, errors.Join(fmt.Errorf("pgx made a %T", made), made.Close())
	}
	own := pgConn{conn, time.Now(), born, cs.generation}
	if cs.use == reading {
		return reader{own}, nil
	}
	return own, nil
}

type pgConn struct {
	*stdlib.Conn
	made    time.Time
	born    int64 // the generation
	current *generation
}

var (
	_ driver.Validator       = pgConn{}
	_ driver.SessionResetter = pgConn{}
)

// IsValid keeps one that has ended, or was given up, out of the pool: whoever
// waits for a connection there would be given it, and fail.
func (c pgConn) IsValid() bool { return !c.Conn.Conn().IsClosed() && !c.givenUp() }

func (c pgConn) givenUp() bool { return c.born != c.current.Load() }

// ResetSession is called before the connection is used again.
func (c pgConn) ResetSession(ctx context.Context) error {
	if c.givenUp() {
		return driver.ErrBadConn
	}
	return c.Conn.ResetSession(ctx)
}

// orCut is for errors of what may be done twice.
func (c pgConn) orCut(ctx context.Context, err error) error {
	if err != nil && ctx.Err() == nil && c.Conn.Conn().IsClosed() {
		return driver.ErrBadConn
	}
	return err
}

// relaxedKey marks the context of a transaction's begin.
type relaxedKey struct{}

func (c pgConn) BeginTx(ctx context.Context, opts driver.TxOptions) (driver.Tx, error) {
	if ctx.Value(relaxedKey{}) == nil {
		tx, err := c.Conn.BeginTx(ctx, opts)
		return tx, c.orCut(ctx, err)
	}
	tx, err := c.Conn.Conn().BeginTx(ctx, pgx.TxOptions{BeginQuery: "BEGIN; SET LOCAL synchronous_commit = off"})
	if err != nil {
		return nil, c.orCut(ctx, err)
	}
	return relaxedTx{ctx, tx}, nil
}

// relaxedTx ends with its context, as all transactions of pgx's.
type relaxedTx struct {
	ctx context.Context
	tx  pgx.Tx
}

func (t relaxedTx) Commit() error   { return t.tx.Commit(t.ctx) }
func (t relaxedTx) Rollback() error { return t.tx.Rollback(t.ctx) }

// reader is a connection whose queries may be sent again, since they only
// read.
type reader struct{ pgConn }

func (c reader) QueryContext(ctx context.Context, query string, args []driver.NamedValue) (driver.Rows, error) {
	rows, err := c.Conn.QueryContext(ctx, query, args)
	return rows, c.orStale(ctx, err)
}

// orStale gives up the connections after an error of a statement that was
// prepared before the tables were altered. A new one tells the error as it is.
func (c reader) orStale(ctx context.Context, err error) error {
	switch sqlState(err) {
	case pgStalePlan, pgNoSuchStatement:
		if time.Since(c.made) > time.Second {
			c.current.CompareAndSwap(c.born, c.born+1)
			return driver.ErrBadConn
		}
	}
	return c.orCut(ctx, err)
}

func (c reader) PrepareContext(ctx context.Context, query string) (driver.Stmt, error) {
	made, err := c.Conn.PrepareContext(ctx, query)
	if err != nil {
		return nil, c.orCut(ctx, err)
	}
	stmt, ok := made.(*stdlib.Stmt)
	if !ok {
		return nil, fmt.Errorf("pgx prepared a %T", made)
	}
	return readerStmt{stmt, c}, nil
}

type readerStmt struct {
	*stdlib.Stmt
	conn reader
}

func (s readerStmt) QueryContext(ctx context.Context, args []driver.NamedValue) (driver.Rows, error) {
	rows, err := s.Stmt.QueryContext(ctx, args)
	return rows, s.conn.orStale(ctx, err)
}
