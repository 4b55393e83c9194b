package database

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"time"

	"modernc.org/sqlite"
	sqlite3 "modernc.org/sqlite/lib"
)

// openSQLite opens one connection that writes and a pool that reads.
//
// busy_timeout is short on the writer, since begin does the waiting. The log
// is checkpointed every 4,000 pages (16 MiB): each checkpoint flushes, and
// SQLite's own 1,000 cost a tenth of the drain rate.
func (db *DB) openSQLite(ctx context.Context, cfg Config) error {
	path := filepath.Clean(cfg.DSN)
	if err := checkFile(path); err != nil {
		return err
	}
	pragmas := url.Values{"_pragma": {
		"journal_mode(WAL)", "wal_autocheckpoint(4000)", "journal_size_limit(67108864)",
		"foreign_keys(OFF)", "temp_store(MEMORY)",
	}}
	open := func(extra ...string) (*sql.DB, error) {
		q := url.Values{"_pragma": append(append([]string{}, pragmas["_pragma"]...), extra...)}
		q.Set("_txlock", "immediate")
		return sql.Open("sqlite", (&url.URL{Scheme: "file", Opaque: (&url.URL{Path: path}).EscapedPath(), RawQuery: q.Encode()}).String())
	}
	var err error
	if db.write, err = open("busy_timeout(5)", "synchronous(FULL)", cacheSize(db.cache/3)); err != nil {
		return fmt.Errorf("opening %s: %w", path, err)
	}
	db.write.SetMaxOpenConns(1)
	if db.read, err = open("busy_timeout(5000)", "query_only(ON)", cacheSize(db.cache*2/3/int64(cfg.readers()))); err != nil {
		return fmt.Errorf("opening %s: %w", path, err)
	}
	db.read.SetMaxOpenConns(cfg.readers() + 1) // one is the file's anchor
	db.read.SetMaxIdleConns(cfg.readers())
	if err := db.firstTouch(ctx); err != nil {
		return fmt.Errorf("opening %s: %w", path, explain(err))
	}
	if db.file, err = openFile(ctx, db.read, path); err != nil {
		return fmt.Errorf("opening %s: %w", path, explain(err))
	}
	return nil
}

// cacheSize is the pragma for the cache of one connection.
func cacheSize(bytes int64) string { return fmt.Sprintf("cache_size(-%d)", max(256, bytes>>10)) }

// firstTouch switches a new file to the write-ahead log and proves that it is
// a database that can be written to. Several starters may do it at once.
func (db *DB) firstTouch(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, lockWait)
	defer cancel()
	for {
		err := db.Update(ctx, Durable, func(context.Context, *sql.Tx) error { return nil })
		if !busy(err) {
			return err
		}
		if err := pause(ctx, lockPause); err != nil {
			return err
		}
	}
}

// checkFile gives the commonest mistakes a clear sentence before SQLite's own.
func checkFile(path string) error {
	if info, err := os.Stat(path); err == nil && info.IsDir() {
		return fmt.Errorf("opening %s: it is a directory; name a file", path)
	}
	dir, err := os.Stat(filepath.Dir(path))
	if err != nil {
		return fmt.Errorf("opening %s: its directory cannot be used: %w", path, err)
	}
	if !dir.IsDir() {
		return fmt.Errorf("opening %s: its directory cannot be used: %s is a file", path, filepath.Dir(path))
	}
	return nil
}

// beginSQLite takes the file's write lock. SQLite cannot queue those who wait,
// so it asks again every millisecond, for at most lockWait.
func (db *DB) beginSQLite(ctx context.Context, d Durability) (tx *sql.Tx, release func(), err error) {
	if err := db.file.check(); err != nil {
		return nil, nil, err
	}
	conn, err := db.write.Conn(ctx)
	if err != nil {
		return nil, nil, fmt.Errorf("waiting for the database's writer: %w", err)
	}
	defer func() {
		if err != nil {
			err = fmt.Errorf("beginning a transaction: %w", errors.Join(err, conn.Close()))
		}
	}()
	sync := "PRAGMA synchronous=FULL"
	if d == Relaxed {
		sync = "PRAGMA synchronous=NORMAL"
	}
	if _, err := conn.ExecContext(ctx, sync); err != nil {
		return nil, nil, err
	}
	release = func() { _ = conn.Close() } // gives it back to the pool
	deadline := time.Now().Add(lockWait)
	for {
		tx, err := conn.BeginTx(ctx, nil)
		if !busy(err) || time.Now().After(deadline) {
			return tx, release, err
		}
		if err := pause(ctx, lockPause); err != nil {
			return nil, nil, err
		}
	}
}

func pause(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-t.C:
		return nil
	}
}

func busy(err error) bool {
	code := resultCode(err)
	return code == sqlite3.SQLITE_BUSY || code == sqlite3.SQLITE_LOCKED
}

// resultCode is SQLite's primary result code, 0 when err has none.
func resultCode(err error) int {
	var e *sqlite.Error
	if errors.As(err, &e) {
		return e.Code() & 0xff
	}
	return 0
}

// explain adds to an error of opening what to do about it.
func explain(err error) error {
	switch resultCode(err) {
	case sqlite3.SQLITE_READONLY, sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_PERM:
		return fmt.Errorf("the file or its directory cannot be written to; check its permissions: %w", err)
	case sqlite3.SQLITE_NOTADB:
		return fmt.Errorf("the file is not a SQLite database; name another file: %w", err)
	}
	return err
}
