package database

import (
	"context"
	"database/sql"
	"fmt"
	"time"
)

// bulkValues is the most placeholders in one statement of a bulk. Measured on
// SQLite, processor time for a row of 8 columns: one row a statement 11 µs, 8
// or 16 rows 9, 64 rows 14, 256 rows 30, since it looks at every placeholder's
// number to find the next. Rows in one JSON array took more than twice the
// time of 32 rows a statement.
const bulkValues = 128

// prepareWithin bounds the wait for a server that hangs while a statement is
// prepared.
const prepareWithin = 5 * time.Second

// Statements prepares statements and keeps them, so that they are closed
// together. After an error it prepares no more, and Err tells it.
type Statements struct {
	pool *sql.DB
	text func(string) string
	all  []*sql.Stmt
	err  error
}

// ToWrite are statements for transactions of [DB.Update], by tx.StmtContext.
func (db *DB) ToWrite() *Statements { return &Statements{pool: db.write, text: db.SQL} }

// ToRead are statements for queries.
func (db *DB) ToRead() *Statements { return &Statements{pool: db.read, text: db.SQL} }

// One prepares a statement. Its placeholders are $1, $2, …
func (s *Statements) One(query string) *sql.Stmt {
	if s.err != nil {
		return nil
	}
	ctx, cancel := context.WithTimeout(context.Background(), prepareWithin)
	defer cancel()
	stmt, err := s.pool.PrepareContext(ctx, s.text(query)) //nolint:sqlclosecheck // Close closes all
	if err != nil {
		s.err = fmt.Errorf("preparing a statement: %w", err)
		return nil
	}
	s.all = append(s.all, stmt)
	return stmt
}

// Bulk prepares "insert VALUES … conflict" for rows of cols values.
func (s *Statements) Bulk(insert string, cols int, conflict string) Bulk {
	b := Bulk{cols: cols}
	for n := 1; n*cols <= bulkValues; n *= 2 {
		b.stmts = append(b.stmts, s.One(insert+" VALUES "+Rows(n, cols)+" "+conflict))
	}
	return b
}

// Err is the first error of preparing.
func (s *Statements) Err() error { return s.err }

// Close gives the statements' memory back.
func (s *Statements) Close() {
	for _, stmt := range s.all {
		_ = stmt.Close() // nothing can be lost by it
	}
}

// Bulk writes many rows with few statements.
type Bulk struct {
	cols  int
	stmts []*sql.Stmt // stmts[i] takes 1<<i rows
}

// Exec writes rows, which lie one after the other in values. No two of them
// may have the same key.
func (b Bulk) Exec(ctx context.Context, tx *sql.Tx, values []any) error {
	for i := len(b.stmts) - 1; i >= 0; i-- {
		n := b.cols << i
		if len(values) < n {
			continue
		}
		stmt := tx.StmtContext(ctx, b.stmts[i])
		for ; len(values) >= n; values = values[n:] {
			if _, err := stmt.ExecContext(ctx, values[:n]...); err != nil {
				return err
			}
		}
	}
	return nil
}
