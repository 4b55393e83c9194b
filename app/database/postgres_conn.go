package database

import (
	"context"
	"database/sql/driver"
	"errors"
	"fmt"

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
	use use
}

func (cs connections) Connect(ctx context.Context) (driver.Conn, error) {
	made, err := cs.Connector.Connect(ctx)
	if err != nil {
		return nil, err
	}
	conn, ok := made.(*stdlib.Conn)
	if !ok {
		return nil, errors.Join(fmt.Errorf("pgx made a %T", made), made.Close())
	}
	if cs.use == reading {
		return reader{pgConn{conn}}, nil
	}
	return pgConn{conn}, nil
}

type pgConn struct{ *stdlib.Conn }

var _ driver.Validator = pgConn{}

// IsValid keeps one that has ended out of the pool: whoever waits for a
// connection there would be given it, and fail.
func (c pgConn) IsValid() bool { return !c.Conn.Conn().IsClosed() }

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
	return rows, c.orCut(ctx, err)
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
	return rows, s.conn.orCut(ctx, err)
}
