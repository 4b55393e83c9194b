package database

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"sync"
	"time"
)

// Durability says what a commit must survive.
type Durability int

const (
	// Durable commits survive a power cut: the log is flushed before Update
	// returns. For whatever is confirmed to somebody outside the file.
	Durable Durability = iota
	// Relaxed commits survive a crash of the process but not a power cut.
	// For effects whose acknowledgement is committed after them in the same
	// file: the log keeps their order, so a power cut takes back the
	// acknowledgement before it takes back the effect.
	Relaxed
)

// Limits of a write transaction.
const (
	// lockWait is how long Update waits for another process that writes.
	lockWait = 30 * time.Second
	// lockPause is between two tries for the lock of a SQLite file. SQLite
	// itself backs off to 100 ms and so starves beside a busy writer.
	lockPause = time.Millisecond
	// readers is the size of the read pool.
	readers = 4
)

// DB is an open database. It is safe for concurrent use.
type DB struct {
	write, read *sql.DB
	now         func() time.Time
	once        *Batcher[onceCall]
	watch       *watcher
	closeOnce   sync.Once
	closeErr    error
}

// Open opens the database and checks that it can be written to. It creates
// the file when there is none; tables come with [DB.Migrate].
func Open(ctx context.Context, cfg Config) (*DB, error) {
	if err := cfg.Validate(); err != nil {
		return nil, fmt.Errorf("database: %w", err)
	}
	db := &DB{now: time.Now}
	if err := db.openSQLite(ctx, cfg.DSN); err != nil {
		return nil, err
	}
	db.once = NewBatcher(db, Durable, onceBatch, db.applyOnce)
	db.watch = startWatcher(db)
	return db, nil
}

// Close ends the watcher, waits for what was accepted, and closes the file.
func (db *DB) Close() error {
	db.closeOnce.Do(func() {
		db.once.Close()
		db.watch.close()
		db.closeErr = errors.Join(db.read.Close(), db.write.Close())
	})
	return db.closeErr
}

// Read is the pool for queries. It refuses to write.
func (db *DB) Read() *sql.DB { return db.read }

// Ping asks the database for an answer.
func (db *DB) Ping(ctx context.Context) error {
	var one int
	if err := db.read.QueryRowContext(ctx, "SELECT 1").Scan(&one); err != nil {
		return fmt.Errorf("asking the database: %w", err)
	}
	return nil
}

// Update runs fn in one write transaction and commits it. When fn fails, or
// ctx ends, nothing of it stays and the error is returned as it is wrapped.
// fn must touch nothing but tx, since it may be run again by callers.
func (db *DB) Update(ctx context.Context, d Durability, fn func(ctx context.Context, tx *sql.Tx) error) (err error) {
	conn, err := db.write.Conn(ctx)
	if err != nil {
		return fmt.Errorf("waiting for the database's writer: %w", err)
	}
	defer conn.Close()
	tx, err := db.begin(ctx, conn, d)
	if err != nil {
		return fmt.Errorf("beginning a transaction: %w", err)
	}
	defer tx.Rollback() //nolint:errcheck // after Commit it does nothing; before, fn's error is the one to tell
	if err := fn(ctx, tx); err != nil {
		return err
	}
	err = tx.Commit()
	if errors.Is(err, sql.ErrTxDone) && ctx.Err() != nil { // it was rolled back when ctx ended
		err = ctx.Err()
	}
	if err != nil {
		return fmt.Errorf("committing: %w", err)
	}
	return nil
}

// SQL turns a query with placeholders $1, $2, … into the dialect's form. When
// they come in sequence, as in many rows of values, SQLite is spared their
// numbers: it looks at all it has for each.
func (db *DB) SQL(query string) string {
	var bare strings.Builder
	rest := query
	for next := 1; ; next++ {
		before, after, found := strings.Cut(rest, "$")
		bare.WriteString(before)
		if !found {
			return bare.String()
		}
		number := after[:len(after)-len(strings.TrimLeft(after, "0123456789"))]
		if number != strconv.Itoa(next) {
			return strings.ReplaceAll(query, "$", "?")
		}
		bare.WriteByte('?')
		rest = after[len(number):]
	}
}

// Rows writes n rows of cols placeholders: ($1,$2),($3,$4) for 2 and 2.
func Rows(n, cols int) string {
	var b strings.Builder
	arg := 1
	for row := range n {
		if row > 0 {
			b.WriteByte(',')
		}
		b.WriteByte('(')
		for col := range cols {
			if col > 0 {
				b.WriteByte(',')
			}
			b.WriteByte('$')
			b.WriteString(strconv.Itoa(arg))
			arg++
		}
		b.WriteByte(')')
	}
	return b.String()
}
