package database

import (
	"errors"

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
