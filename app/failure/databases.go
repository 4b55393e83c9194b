package failure

import (
	"errors"

	sqlitedriver "modernc.org/sqlite"
	sqlite3 "modernc.org/sqlite/lib"
)

// sqliteCode knows SQLite's primary result codes: a lock, an interrupted
// statement, memory, disk space, an I/O error, a file that cannot be opened or
// is read-only for now heal by themselves; a value that is too large or of the
// wrong type does not. What a constraint forbids may be allowed once another
// event has come, or never: unknown, as on PostgreSQL.
// Source: https://www.sqlite.org/rescode.html
func sqliteCode(code int) (Kind, Reason) {
	switch code {
	case sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED, sqlite3.SQLITE_INTERRUPT, sqlite3.SQLITE_NOMEM, sqlite3.SQLITE_FULL,
		sqlite3.SQLITE_IOERR, sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_READONLY, sqlite3.SQLITE_PROTOCOL, sqlite3.SQLITE_SCHEMA:
		return KindTransient, Database
	case sqlite3.SQLITE_TOOBIG, sqlite3.SQLITE_MISMATCH:
		return KindPermanent, Rejected
	}
	return KindUnknown, Unknown
}

func sqlite(err error) (Kind, Reason, bool) {
	var e *sqlitedriver.Error
	if !errors.As(err, &e) {
		return 0, "", false
	}
	kind, reason := sqliteCode(e.Code() & 0xff)
	return kind, reason, true
}

// sqlState knows the SQLSTATE that drivers of PostgreSQL report (pgx and
// lib/pq alike), by its code, and then by its class.
//
// Transient is what lies with the server or with what others do at the same
// time. That includes a password that is refused: while it is being changed,
// every message would become a letter. Permanent is a value that the database
// cannot take (class 22): the same event brings the same value. A violated
// constraint (class 23) is unknown: a foreign key or a unique key may depend
// on which event came first, and only the handler knows. So is what the
// program asks for and the schema has not (class 42).
// Source: https://www.postgresql.org/docs/current/errcodes-appendix.html
func sqlState(err error) (Kind, Reason, bool) {
	var e interface{ SQLState() string }
	if !errors.As(err, &e) || len(e.SQLState()) != 5 {
		return 0, "", false
	}
	state := e.SQLState()
	switch state {
	case "57014", // query_canceled: by statement_timeout, or by an administrator
		"25P04": // transaction_timeout
		return KindTransient, Timeout, true
	case "55P03", // lock_not_available
		"55006", // object_in_use
		"25006", // read_only_sql_transaction: a standby, before or after it was promoted
		"25P03": // idle_in_transaction_session_timeout
		return KindTransient, Database, true
	}
	switch state[:2] {
	case "08", // connection exception
		"28", // invalid authorization
		"40", // transaction rollback: deadlock, serialization failure
		"53", // insufficient resources: disk full, memory, too many connections
		"57", // operator intervention: shutdown, crash, starting up
		"58": // system error: I/O
		return KindTransient, Database, true
	case "22": // data exception
		return KindPermanent, Rejected, true
	}
	return KindUnknown, Unknown, true
}
