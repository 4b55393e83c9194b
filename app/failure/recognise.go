package failure

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"io"
	"net"
	"syscall"

	"modernc.org/sqlite"
	sqlite3 "modernc.org/sqlite/lib"
)

// transientSQLite reports a primary result code that heals by itself: a lock,
// an interrupted statement, memory, disk space, an I/O error, a file that
// cannot be opened or is read-only for now.
// Source: https://www.sqlite.org/rescode.html
func transientSQLite(code int) bool {
	switch code {
	case sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED, sqlite3.SQLITE_INTERRUPT, sqlite3.SQLITE_NOMEM, sqlite3.SQLITE_FULL,
		sqlite3.SQLITE_IOERR, sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_READONLY, sqlite3.SQLITE_PROTOCOL, sqlite3.SQLITE_SCHEMA:
		return true
	}
	return false
}

// recognise tells transient errors of drivers and of the network by type.
func recognise(err error) (Reason, bool) {
	if errors.Is(err, context.DeadlineExceeded) {
		return Timeout, true
	}
	var lite *sqlite.Error
	if errors.As(err, &lite) {
		return Database, transientSQLite(lite.Code() & 0xff)
	}
	if errors.Is(err, sql.ErrConnDone) || errors.Is(err, driver.ErrBadConn) {
		return Database, true
	}
	for _, e := range []error{
		syscall.ECONNREFUSED, syscall.ECONNRESET, syscall.ECONNABORTED, syscall.EPIPE,
		syscall.EHOSTUNREACH, syscall.ENETUNREACH, syscall.ETIMEDOUT, net.ErrClosed, io.ErrUnexpectedEOF,
	} {
		if errors.Is(err, e) {
			return Network, true
		}
	}
	var dns *net.DNSError
	if errors.As(err, &dns) {
		return Network, !dns.IsNotFound || dns.IsTemporary
	}
	var timeout net.Error
	if errors.As(err, &timeout) && timeout.Timeout() {
		return Timeout, true
	}
	return "", false
}
