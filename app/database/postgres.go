package database

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/stdlib"
)

// Limits of PostgreSQL's connections.
const (
	// connectWithin bounds a connection attempt when the DSN does not.
	connectWithin = 5 * time.Second
	// leastVersion is the oldest PostgreSQL that the worker's tables and
	// queries fit.
	leastVersion = 14
	// startsWithin is how long Open waits for a server that is starting up.
	startsWithin = 30 * time.Second
	// pgLockWait is how long a statement waits for a row's or table's lock.
	pgLockWait = 10 * time.Second
	// pgIdle is after how long the server ends a transaction that does
	// nothing, lest it holds its locks for ever.
	pgIdle = 20 * time.Second
	// A connection is renewed now and then, so that it finds a new primary,
	// and what it has gathered in the server's memory is given back.
	connLifetime = 30 * time.Minute
	connIdleTime = 5 * time.Minute
)

// openPostgres opens a pool that writes, one that reads, and a connection for
// Ping while all that write are at work.
//
// Each connection is set up by statements after it is made: poolers refuse
// most settings in the startup message. A pooler in front must keep a session
// for its client, or, in transaction mode, keep prepared statements and give
// these settings to all (PgBouncer: max_prepared_statements, connect_query);
// migrations need a session in any case.
func (db *DB) openPostgres(ctx context.Context, cfg Config) error {
	config, err := parsePostgres(cfg.DSN)
	if err != nil {
		return fmt.Errorf("database: %w", err)
	}
	limits := fmt.Sprintf("SET statement_timeout = %d; SET lock_timeout = %d; SET idle_in_transaction_session_timeout = %d; ",
		cfg.statementTimeout().Milliseconds(), pgLockWait.Milliseconds(), pgIdle.Milliseconds())
	// The server, too, notices by silence that the worker's machine has gone,
	// and lets go of its locks; of itself it would take two hours.
	limits += fmt.Sprintf("SET tcp_keepalives_idle = %d; SET tcp_keepalives_interval = %d; SET tcp_keepalives_count = %d; SET tcp_user_timeout = %d; ",
		askEvery/time.Second, askEvery/time.Second, askTimes, goneAfter.Milliseconds())
	// Updates are made for this isolation, whatever the server's preset is.
	limits += "SET default_transaction_isolation = 'read committed'; "
	// Durable must be so whatever the server's preset is.
	const durable = "SELECT set_config('synchronous_commit', 'on', false) WHERE current_setting('synchronous_commit') = 'off'"
	db.write = db.openPool(config, cfg.writers(), limits+durable, writing)
	db.read = db.openPool(config, cfg.readers(), limits+"SET default_transaction_read_only = on", reading)
	db.probe = db.openPool(config, 1, limits, reading)
	if err := db.firstContact(ctx); err != nil {
		return fmt.Errorf("opening the PostgreSQL database: %w", explainPostgres(err))
	}
	return nil
}

func (db *DB) openPool(config *pgx.ConnConfig, size int, setup string, as use) *sql.DB {
	connector := stdlib.GetConnector(*config, stdlib.OptionAfterConnect(func(ctx context.Context, conn *pgx.Conn) error {
		if _, err := conn.Exec(ctx, setup); err != nil {
			return errors.Join(err, conn.Close(ctx)) // pgx leaves it open
		}
		return nil
	}))
	pool := sql.OpenDB(connections{connector, as, &db.generation})
	pool.SetMaxOpenConns(size)
	pool.SetMaxIdleConns(size)
	pool.SetConnMaxLifetime(connLifetime)
	pool.SetConnMaxIdleTime(connIdleTime)
	return pool
}

// firstContact proves that the database answers, and waits for one that says
// that it is about to.
func (db *DB) firstContact(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, startsWithin)
	defer cancel()
	for {
		var encoding, version string
		var number int
		err := db.write.QueryRowContext(ctx, "SELECT current_setting('server_encoding'), current_setting('server_version'), current_setting('server_version_num')::int").
			Scan(&encoding, &version, &number)
		if err == nil && number < leastVersion*10000 {
			return fmt.Errorf("the server is PostgreSQL %s; answerfeed needs PostgreSQL %d or later", version, leastVersion)
		}
		if err == nil && encoding != "UTF8" {
			return fmt.Errorf("its encoding is %s; create it with ENCODING 'UTF8'", encoding)
		}
		if err == nil {
			return db.checkPooler(ctx)
		}
		if sqlState(err) != pgStartingUp {
			return err
		}
		if pause(ctx, 100*time.Millisecond) != nil {
			return err
		}
	}
}

// pingPostgres asks on a connection of those that write, since another may lead
// to another server: after a failover, say. When all of them are at work it
// does not wait for them.
func (db *DB) pingPostgres(ctx context.Context) error {
	pool := db.write
	if stats := pool.Stats(); stats.InUse >= stats.MaxOpenConnections {
		pool = db.probe
	}
	var readOnly bool
	if err := pool.QueryRowContext(ctx, "SELECT current_setting('transaction_read_only')::boolean").Scan(&readOnly); err != nil {
		return fmt.Errorf("asking the database: %w", err)
	}
	if readOnly {
		db.generation.Add(1)
		return errors.New("asking the database: it is read-only")
	}
	return nil
}

func (db *DB) beginPostgres(ctx context.Context, d Durability) (*sql.Tx, func(), error) {
	if d == Relaxed {
		ctx = context.WithValue(ctx, relaxedKey{}, true)
	}
	tx, err := db.write.BeginTx(ctx, nil)
	if err != nil {
		return nil, nil, fmt.Errorf("beginning a transaction: %w", err)
	}
	return tx, func() {}, nil
}

// unknownOutcome tells of an error of COMMIT whether the server may have
// committed all the same: whenever it did not itself say that it did not. What
// pgx says of it counts for nothing: it calls a COMMIT that was sent, and whose
// answer never came, safe to retry.
func unknownOutcome(err error) bool {
	if errors.Is(err, sql.ErrTxDone) || errors.Is(err, pgx.ErrTxCommitRollback) {
		return false
	}
	var said *pgconn.PgError
	return !errors.As(err, &said) || said.SeverityUnlocalized != "ERROR"
}
