package database

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"io"
	"net"
	"slices"
	"strings"

	"github.com/jackc/pgx/v5/pgconn"
	"modernc.org/sqlite"
	sqlite3 "modernc.org/sqlite/lib"
)

// PostgreSQL's error codes (its manual, appendix A) that are told apart here.
const (
	pgResources          = "53"    // a class: disk full, out of memory, too many connections
	pgSystem             = "58"    // a class: I/O errors
	pgStalePlan          = "0A000" // also: a feature that is not supported
	pgNotNull            = "23502"
	pgReadOnly           = "25006"
	pgDuplicateStatement = "42P05"
	pgNoSuchStatement    = "26000"
	pgNotLetIn           = "28000" // also: pg_hba.conf has no entry
	pgWrongPassword      = "28P01"
	pgNoSuchDatabase     = "3D000"
	pgSerialization      = "40001"
	pgDeadlock           = "40P01"
	pgNotAllowed         = "42501"
	pgTooManyConns       = "53300"
	pgLockNotAvailable   = "55P03"
	pgCanceled           = "57014" // by the statement's timeout, say
	pgStartingUp         = "57P03"
	pgDataCorrupted      = "XX001"
	pgIndexCorrupted     = "XX002"
)

// Retryable reports that the database gave a transaction up for the sake of
// another: nothing of it stays, no part of it is at fault, and the same again
// may well succeed. It is told of a deadlock, of a serialisation failure and of
// a lock that was not to be had.
func Retryable(err error) bool {
	switch sqlState(err) {
	case pgSerialization, pgDeadlock, pgLockNotAvailable:
		return true
	}
	return busy(err)
}

// Unavailable reports that the database could not be asked, or could not do
// what it was asked for reasons of its own: a connection that failed or was
// cut, a server that shuts down, is read-only or out of room, a time that ran
// out. No item of a batch is at fault, and each alone would fare no better.
func Unavailable(err error) bool {
	for _, e := range []error{driver.ErrBadConn, sql.ErrConnDone, io.ErrUnexpectedEOF, context.DeadlineExceeded, ErrUnknownOutcome} {
		if errors.Is(err, e) {
			return true
		}
	}
	if said := new(pgconn.PgError); errors.As(err, &said) {
		return said.SeverityUnlocalized != "ERROR" || said.Code == pgReadOnly || serverTrouble(said.Code)
	}
	if e := new(sqlite.Error); errors.As(err, &e) {
		switch e.Code() & 0xff {
		case sqlite3.SQLITE_FULL, sqlite3.SQLITE_IOERR, sqlite3.SQLITE_READONLY, sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_NOMEM:
			return true
		}
		return false
	}
	var connect *pgconn.ConnectError
	var network net.Error
	return errors.As(err, &connect) || errors.As(err, &network) || pgconn.SafeToRetry(err)
}

// serverTrouble knows the classes of connections, resources, operators who
// intervene, and the system. That a statement was cancelled, 57014, is not
// among them: it may have run out of its time by itself.
func serverTrouble(code string) bool { return class(code, "08", pgResources, "57P", pgSystem) }

// class reports that the code is of one of the classes.
func class(code string, classes ...string) bool {
	return slices.ContainsFunc(classes, func(c string) bool { return strings.HasPrefix(code, c) })
}

// NotNull reports that err is a NOT NULL constraint's refusal.
func NotNull(err error) bool {
	var e *sqlite.Error
	return errors.As(err, &e) && e.Code() == sqlite3.SQLITE_CONSTRAINT_NOTNULL || sqlState(err) == pgNotNull
}

// sqlState is PostgreSQL's error code, "" when err has none.
func sqlState(err error) string {
	var e *pgconn.PgError
	if errors.As(err, &e) {
		return e.Code
	}
	return ""
}
