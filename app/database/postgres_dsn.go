package database

import (
	"errors"
	"fmt"
	"io/fs"
	"net"
	"time"

	"github.com/jackc/pgx/v5"
)

// A server that vanished without a word is noticed by its silence: goneAfter
// what was sent is not acknowledged, or askTimes questions while nothing is
// sent. Measured with the network taken away: a COMMIT ends after 5.6 s, a
// query that waits for its answer after 5.1.
const (
	goneAfter = 5 * time.Second
	askEvery  = time.Second
	askTimes  = 5
)

// parsePostgres reads a DSN. Its errors quote nothing of it: pgx's do, and
// masking a password in what cannot be parsed is guesswork.
func parsePostgres(dsn string) (*pgx.ConnConfig, error) {
	if dsn == "" {
		return nil, errors.New("dsn: empty; it must name a database: postgres://user:password@host:5432/database")
	}
	config, err := pgx.ParseConfig(dsn)
	if file := new(fs.PathError); errors.As(err, &file) { // of sslrootcert, say
		return nil, fmt.Errorf("dsn: it names a file that cannot be read: %w", file)
	}
	if err != nil {
		return nil, errors.New("dsn: cannot be read as postgres://user:password@host:5432/database or as host=… user=… dbname=… pairs; " +
			"in a URL, special characters of the password are written as %XX")
	}
	if config.ConnectTimeout == 0 {
		config.ConnectTimeout = connectWithin
	}
	if config.RuntimeParams["application_name"] == "" {
		config.RuntimeParams["application_name"] = "answerfeed"
	}
	dialer := net.Dialer{
		KeepAliveConfig: net.KeepAliveConfig{Enable: true, Idle: askEvery, Interval: askEvery, Count: askTimes},
		Control:         limitUnanswered,
	}
	config.DialFunc = dialer.DialContext
	return config, nil
}

// explainPostgres adds to an error of opening what to do about it.
func explainPostgres(err error) error {
	var advice string
	switch sqlState(err) {
	case pgWrongPassword, pgNotLetIn:
		advice = "the server does not let this user in; check user and password, and the server's pg_hba.conf"
	case pgNoSuchDatabase:
		advice = "the server has no such database; create it, or name another"
	case pgNotAllowed:
		advice = "this user may not connect to this database; GRANT it"
	case pgTooManyConns:
		advice = "the server has no connection left; raise its max_connections, or lower writers and readers"
	case pgDuplicateStatement, pgNoSuchStatement:
		advice = errPooler.Error()
	case pgStartingUp:
		advice = "the server is still starting up; try again later"
	case "":
		var dial *net.OpError
		var name *net.DNSError
		if errors.As(err, &name) || errors.As(err, &dial) && dial.Op == "dial" {
			advice = "no server answers there; check that it runs, its host and port"
		}
	}
	if advice == "" {
		return err
	}
	return fmt.Errorf("%s: %w", advice, err)
}
