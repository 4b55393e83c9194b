package database

import (
	"context"
	"errors"

	"github.com/jackc/pgx/v5/pgconn"
	"modernc.org/sqlite"
	sqlite3 "modernc.org/sqlite/lib"
)

// Trouble is an error that lies with the database, and with nothing that was to
// be written to it: the same will succeed once somebody has put the database
// right. [DB.Update] and a [Batcher] return it, wrapped.
type Trouble struct {
	// Whole: nobody can write to the database for now, because the disk is
	// full, it is read-only, or it lets nobody in. Else the trouble is that of
	// the tables which were used: one is locked, renamed, or was altered.
	Whole bool

	db  *DB
	err error
}

func (t *Trouble) Error() string { return t.err.Error() }

// Unwrap returns what the database said.
func (t *Trouble) Unwrap() error { return t.err }

// Outage tells package failure what kind of error this is.
func (t *Trouble) Outage() bool { return true }

// TroubleOf returns the trouble of this database in err, nil when there is
// none.
func (db *DB) TroubleOf(err error) *Trouble {
	var t *Trouble
	if !errors.As(err, &t) || t.db != db {
		return nil
	}
	return t
}

// troubled makes a Trouble of an error that is one. own: a statement of the
// worker's own failed. It asks for nothing that the schema lacks and writes
// nothing that a column refuses, unless an event's values do not fit: any
// other error is the database's. Of other people's statements only they know.
func (db *DB) troubled(err error, own bool) error {
	if err == nil || errors.As(err, new(*Trouble)) {
		return err
	}
	db.renewAfter(err)
	switch {
	case unusable(err):
		return &Trouble{Whole: true, db: db, err: err}
	case own && !ofTheValues(err):
		return &Trouble{db: db, err: err}
	}
	return err
}

// unusable reports an error that whoever writes would meet. A connection that
// was cut is not among them: another may well be there, and whether the server
// is gone is for probes to say.
func unusable(err error) bool {
	if connect := new(pgconn.ConnectError); errors.As(err, &connect) {
		return !errors.Is(err, context.Canceled)
	}
	if said := new(pgconn.PgError); errors.As(err, &said) {
		switch said.Code {
		case pgReadOnly, pgDataCorrupted, pgIndexCorrupted:
			return true
		}
		return class(said.Code, pgResources, pgSystem)
	}
	switch resultCode(err) {
	case sqlite3.SQLITE_FULL, sqlite3.SQLITE_IOERR, sqlite3.SQLITE_READONLY, sqlite3.SQLITE_CANTOPEN,
		sqlite3.SQLITE_NOMEM, sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB, sqlite3.SQLITE_PERM:
		return true
	}
	return false
}

// ofTheValues reports an error for which the values that were written may be to
// blame, or another transaction for whose sake this one was given up, or a cut
// connection, or somebody who is no database at all.
func ofTheValues(err error) bool {
	if errors.Is(err, context.DeadlineExceeded) {
		return false
	}
	if said := new(pgconn.PgError); errors.As(err, &said) {
		return said.SeverityUnlocalized != "ERROR" || class(said.Code, "22", "23", "40", "44", "54", "P0")
	}
	if e := new(sqlite.Error); errors.As(err, &e) {
		switch e.Code() & 0xff {
		case sqlite3.SQLITE_CONSTRAINT, sqlite3.SQLITE_TOOBIG, sqlite3.SQLITE_MISMATCH, sqlite3.SQLITE_RANGE, sqlite3.SQLITE_INTERRUPT:
			return true
		}
		return false
	}
	return true
}
