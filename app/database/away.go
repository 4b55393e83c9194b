package database

import (
	"database/sql/driver"
	"errors"
	"io"
	"syscall"

	"github.com/jackc/pgx/v5/pgconn"
)

// Away reports of an error of [Open] that no server answered, or that the
// server takes nobody in for now: waiting may help. A server that refuses the
// user, or has no such database, is not away.
func Away(err error) bool {
	if said := new(pgconn.PgError); errors.As(err, &said) {
		return serverTrouble(said.Code)
	}
	var connect *pgconn.ConnectError
	return errors.As(err, &connect)
}

// Cut reports that a connection to a server ended in the middle of a request:
// the server died, or something between. The same again may well succeed.
func Cut(err error) bool {
	for _, e := range []error{driver.ErrBadConn, io.ErrUnexpectedEOF, syscall.ECONNRESET, syscall.EPIPE, ErrUnknownOutcome} {
		if errors.Is(err, e) {
			return true
		}
	}
	return pgconn.SafeToRetry(err)
}
