package database

import (
	"cmp"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/answerfeed/answerfeed/internal/crashpoint"
)

// Durability says what a commit must survive.
type Durability int

const (
	// Durable commits survive a power cut: the log is flushed before Update
	// returns. For whatever is confirmed to somebody outside the database.
	Durable Durability = iota
	// Relaxed commits survive a crash of the process but not a power cut, nor
	// a crash of the PostgreSQL server. For what comes again when it is lost,
	// and in SQLite for effects whose acknowledgement is committed after them
	// in the same file: the log keeps their order, so whatever takes back an
	// effect has taken back the acknowledgement. A PostgreSQL server may crash
	// between the two and be back, while the worker that acknowledges lives on.
	Relaxed
)

// Limits of a write transaction.
const (
	// lockWait is how long Update waits for another process that writes.
	lockWait = 30 * time.Second
	// lockPause is between two tries for the lock of a SQLite file. SQLite
	// itself backs off to 100 ms and so starves beside a busy writer.
	lockPause = time.Millisecond
)

// ErrUnknownOutcome is returned by [DB.Update] when the connection was lost,
// or its context ended, while PostgreSQL was told to commit: all of it stays
// or nothing. Whoever tries again does what may be done twice, or uses
// [DB.Once].
var ErrUnknownOutcome = errors.New("whether it was committed is not known")

// DB is an open database. It is safe for concurrent use.
type DB struct {
	driver      string
	write, read *sql.DB
	probe       *sql.DB     // PostgreSQL only: see Ping
	file        *openedFile // SQLite only
	generation  generation
	now         func() time.Time
	ahead       time.Duration // of the clock, in tests
	pace        pace
	once        *Batcher[onceCall]
	watch       *watcher
	cache       int64 // of all connections to a SQLite file, in bytes
	closeOnce   sync.Once
	closeErr    error
}

// Option is a setting that does not come from the configuration of one
// database.
type Option func(*DB)

// Cache bounds what the connections to a SQLite file keep of the file in
// memory, outside of Go's heap, in bytes. Defaults to 96 MiB.
func Cache(bytes int64) Option { return func(db *DB) { db.cache = bytes } }

// defaultCache is a cache that more makes no faster.
const defaultCache = 96 << 20

// Open opens the database and checks that it can be written to. It creates a
// SQLite file when there is none; tables come with [DB.Migrate].
func Open(ctx context.Context, cfg Config, opts ...Option) (*DB, error) {
	if err := cfg.Validate(); err != nil {
		return nil, fmt.Errorf("database: %w", err)
	}
	db := &DB{driver: cfg.Driver, now: time.Now, cache: defaultCache}
	for _, option := range opts {
		option(db)
	}
	open := db.openSQLite
	if db.driver == Postgres {
		open = db.openPostgres
	}
	if err := open(ctx, cfg); err != nil {
		return nil, errors.Join(err, db.closePools())
	}
	db.once = newBatcher(onceBatch, inUpdate(db, Durable, db.applyOnce))
	db.once.late = db.onceLate
	go db.once.run()
	db.watch = startWatcher(db)
	return db, nil
}

// Close ends the watcher, waits for what was accepted, and closes the file or
// the connections.
func (db *DB) Close() error {
	db.closeOnce.Do(func() {
		db.once.Close()
		db.watch.close()
		db.closeErr = db.closePools()
	})
	return db.closeErr
}

func (db *DB) closePools() error {
	errs := []error{db.file.close()}
	for _, pool := range []*sql.DB{db.read, db.write, db.probe} {
		if pool != nil {
			errs = append(errs, pool.Close())
		}
	}
	return errors.Join(errs...)
}

// Driver is [SQLite] or [Postgres].
func (db *DB) Driver() string { return db.driver }

// Read is the pool for queries. It refuses to write.
func (db *DB) Read() *sql.DB { return db.read }

// Ping asks the database for an answer. A PostgreSQL server that refuses to
// write does not count as one.
func (db *DB) Ping(ctx context.Context) error {
	if db.driver == Postgres {
		return db.pingPostgres(ctx)
	}
	if err := db.file.check(); err != nil {
		return fmt.Errorf("asking the database: %w", err)
	}
	var one int
	if err := db.read.QueryRowContext(ctx, "SELECT 1").Scan(&one); err != nil {
		return fmt.Errorf("asking the database: %w", err)
	}
	return nil
}

// Update runs fn in one write transaction and commits it. When fn fails, or
// ctx ends before the commit, nothing of it stays and the error is returned as
// it is wrapped, as [Trouble] when it is the database's. fn must touch nothing
// but tx, since it may be run again by callers: see [ErrUnknownOutcome] and
// [Retryable].
//
// On SQLite one transaction runs at a time; on PostgreSQL as many as there are
// writers, READ COMMITTED.
func (db *DB) Update(ctx context.Context, d Durability, fn func(ctx context.Context, tx *sql.Tx) error) error {
	begin := db.beginSQLite
	if db.driver == Postgres {
		begin = db.beginPostgres
	}
	if ctx.Err() != nil {
		return fmt.Errorf("beginning a transaction: %w", ctx.Err())
	}
	tx, release, err := begin(ctx, d)
	if err != nil {
		return db.troubled(err, true)
	}
	defer release()
	defer tx.Rollback() //nolint:errcheck // after Commit it does nothing; before, fn's error is the one to tell
	if err := fn(ctx, tx); err != nil {
		return db.troubled(err, false)
	}
	if ctx.Err() != nil { // it is being rolled back
		return fmt.Errorf("committing: %w", ctx.Err())
	}
	crashpoint.At(crashpoint.BeforeCommit)
	err = tx.Commit()
	if err == nil {
		return db.file.check() // what went into a file that nobody will read is not committed
	}
	ended := cmp.Or(ctx.Err(), err)
	if db.driver == Postgres && unknownOutcome(err) {
		return fmt.Errorf("committing: %w: %w", ErrUnknownOutcome, ended)
	}
	if errors.Is(err, sql.ErrTxDone) {
		err = ended
	}
	return db.troubled(fmt.Errorf("committing: %w", err), true)
}

// SQL turns a query with placeholders $1, $2, … into the dialect's form, which
// is PostgreSQL's own. When they come in sequence, as in many rows of values,
// SQLite is spared their numbers: it looks at all it has for each.
func (db *DB) SQL(query string) string {
	if db.driver == Postgres {
		return query
	}
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
