package database_test

import (
	"context"
	"database/sql"
	"errors"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/answerfeed/answerfeed/app/database"
	"github.com/answerfeed/answerfeed/internal/testserver"
)

func TestOpenPostgres_SaysWhatIsWrong(t *testing.T) {
	const secret = "s3cret"
	own, err := testserver.StartPostgres(t.Context(), "fsync = off") // one that asks for a password
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, own.Stop()) })
	good := own.DSN
	port, err := testserver.FreePort()
	require.NoError(t, err)
	administer(t, good, "CREATE DATABASE latin ENCODING 'LATIN1' LOCALE 'C' TEMPLATE template0")
	tests := map[string]struct{ dsn, want string }{
		"nothing":           {"", "must name a database"},
		"no DSN":            {"hunt the " + secret, "cannot be read"},
		"a URL's password":  {"postgres://u:" + secret + "/x@h:5432/d", "cannot be read"},
		"a bad port":        {"postgres://u:" + secret + "@h:port/d", "cannot be read"},
		"a bad pair":        {"host=h password=" + secret + " sslmode=perhaps", "cannot be read"},
		"a missing file":    {"postgres://u:" + secret + "@h/d?sslmode=verify-full&sslrootcert=" + filepath.Join(t.TempDir(), "ca.pem"), "file that cannot be read"},
		"a wrong password":  {strings.Replace(good, ":test@", ":"+secret+"@", 1), "does not let this user in"},
		"an unknown user":   {strings.Replace(good, "postgres:test@", "nobody:"+secret+"@", 1), "does not let this user in"},
		"no such database":  {strings.Replace(good, "/postgres?", "/none?", 1), "no such database"},
		"nobody there":      {strings.Replace("postgres://u:"+secret+"@127.0.0.1:0/d", ":0", ":"+strconv.Itoa(port), 1), "no server answers there"},
		"no such host":      {"postgres://u:" + secret + "@none.invalid/d", "no server answers there"},
		"another encoding":  {strings.Replace(good, "/postgres?", "/latin?", 1), "ENCODING 'UTF8'"},
		"pairs of a server": {"host=127.0.0.1 port=" + strconv.Itoa(port) + " user=u password=" + secret, "no server answers there"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			_, err := database.Open(t.Context(), database.Config{Driver: database.Postgres, DSN: test.dsn})
			require.ErrorContains(t, err, test.want)
			require.NotContains(t, err.Error(), secret)
			require.NotContains(t, err.Error(), ":test@")
		})
	}
}

func TestMigrate_SaysWhatIsNotAllowed(t *testing.T) {
	own, err := testserver.StartPostgres(t.Context(), "fsync = off")
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, own.Stop()) })
	administer(t, own.DSN, "CREATE ROLE guest LOGIN PASSWORD 'test'", "REVOKE CREATE ON SCHEMA public FROM public")
	db := place{database.Config{Driver: database.Postgres, DSN: strings.Replace(own.DSN, "postgres:test@", "guest:test@", 1)}}.open(t)
	require.ErrorContains(t, db.Migrate(t.Context()), "may not create tables here")
	require.ErrorIs(t, db.Check(t.Context()), database.ErrSchema)
	own.Kill()
	err = db.Check(t.Context())
	require.True(t, database.Unavailable(err), err)
	require.NotErrorIs(t, err, database.ErrSchema)
}

func TestOpenPostgres_WaitsForAServerThatIsStartingUp(t *testing.T) {
	r := startRelay(t, onPostgres(t).config.DSN)
	r.startsUpFor(2)
	place{database.Config{Driver: database.Postgres, DSN: r.dsn}}.open(t)

	r.startsUpFor(1000)
	ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
	defer cancel()
	_, err := database.Open(ctx, database.Config{Driver: database.Postgres, DSN: r.dsn})
	require.ErrorContains(t, err, "still starting up")
}

// Relaxed holds for one transaction; Durable is so on a server whose preset is
// another. Neither costs a round trip of its own.
func TestUpdatePostgres_FlushesAsItIsTold(t *testing.T) {
	at := onPostgres(t)
	administer(t, at.config.DSN, `DO $$ BEGIN EXECUTE format('ALTER DATABASE %I SET synchronous_commit = off', current_database()); END $$`)
	r := startRelay(t, at.config.DSN)
	at.config.DSN, at.config.Writers = r.dsn, 1
	db := at.open(t)
	fill(t, db, 1) // the first use of a connection asks whether it is alive
	for _, test := range []struct {
		d    database.Durability
		want string
	}{{database.Durable, "on"}, {database.Relaxed, "off"}, {database.Durable, "on"}} {
		trips := r.counted(func() {
			require.NoError(t, db.Update(t.Context(), test.d, func(ctx context.Context, tx *sql.Tx) error {
				_, err := tx.ExecContext(ctx, "SELECT 1")
				return err
			}))
		})
		require.Equal(t, 3, trips, "begin, statement, commit")
		require.NoError(t, db.Update(t.Context(), test.d, func(ctx context.Context, tx *sql.Tx) error {
			var is string
			require.NoError(t, tx.QueryRowContext(ctx, "SHOW synchronous_commit").Scan(&is))
			require.Equal(t, test.want, is)
			return nil
		}))
	}
}

func TestUpdatePostgres_LimitsStatements(t *testing.T) {
	at := onPostgres(t)
	at.config.StatementTimeout = 100 * time.Millisecond
	db := at.open(t)
	sleep := func(ctx context.Context, tx *sql.Tx) error {
		_, err := tx.ExecContext(ctx, "SELECT pg_sleep(600)")
		return err
	}
	require.ErrorContains(t, db.Update(t.Context(), database.Durable, sleep), "statement timeout")
	_, err := db.Read().ExecContext(t.Context(), "SELECT pg_sleep(600)")
	require.ErrorContains(t, err, "statement timeout")
}

// A pool whose connections are all cut works on without an error.
func TestUpdatePostgres_TakesAnotherConnectionForOneThatWasCut(t *testing.T) {
	at := onPostgres(t)
	r := startRelay(t, at.config.DSN)
	at.config.DSN = r.dsn
	db := at.migrated(t)
	fill(t, db, 8)
	r.cut()
	require.NoError(t, db.Update(t.Context(), database.Relaxed, func(ctx context.Context, tx *sql.Tx) error { return insert(ctx, tx, 1) }))
	r.cut()
	require.NoError(t, db.Update(t.Context(), database.Durable, func(ctx context.Context, tx *sql.Tx) error { return insert(ctx, tx, 2) }))
	require.Equal(t, 2, count(t, db, "effects"))
	r.cut()
	require.Equal(t, 2, count(t, db, "effects"))
	look := db.ToRead()
	defer look.Close()
	all := look.One(`SELECT count(*) FROM effects`)
	r.cut()
	var n int
	require.NoError(t, all.QueryRowContext(t.Context()).Scan(&n))
	require.Equal(t, 2, n)
	r.cut()
	require.NoError(t, db.Ping(t.Context()))
}

func TestUpdatePostgres_ACommitThatIsCut(t *testing.T) {
	at := onPostgres(t)
	r := startRelay(t, at.config.DSN)
	at.config.DSN = r.dsn
	db := at.migrated(t)
	effect := func(ctx context.Context, tx *sql.Tx) error { return insert(ctx, tx, 1) }
	for name, test := range map[string]struct {
		its  fate
		kept int
	}{"before the server saw it": {cutBefore, 0}, "before its answer came": {cutAfter, 1}} {
		t.Run(name, func(t *testing.T) {
			do(t, db, `DELETE FROM effects`)
			r.at(test.its)
			err := db.Update(t.Context(), database.Durable, effect)
			require.ErrorIs(t, err, database.ErrUnknownOutcome)
			require.True(t, database.Unavailable(err))
			require.Equal(t, test.kept, count(t, db, "effects"))

			do(t, db, `DELETE FROM effects`)
			r.at(test.its)
			require.ErrorIs(t, db.Once(t.Context(), "h", "t", name, effect), database.ErrUnknownOutcome)
			require.NoError(t, db.Once(t.Context(), "h", "t", name, effect))
			require.Equal(t, 1, count(t, db, "effects"))
		})
	}
}

// A COMMIT that is never answered ends with its context.
func TestUpdatePostgres_ACommitThatHangs(t *testing.T) {
	at := onPostgres(t)
	r := startRelay(t, at.config.DSN)
	at.config.DSN = r.dsn
	db := at.migrated(t)
	ctx, cancel := context.WithCancel(t.Context())
	hung := r.at(hangs)
	context.AfterFunc(hung, cancel)
	err := db.Update(ctx, database.Durable, func(ctx context.Context, tx *sql.Tx) error { return insert(ctx, tx, 1) })
	require.ErrorIs(t, err, database.ErrUnknownOutcome)
	require.ErrorIs(t, err, context.Canceled)
	r.cut() // else the server goes on waiting for its COMMIT
	require.Zero(t, count(t, db, "effects"))
	do(t, db, `INSERT INTO effects VALUES (1)`)
}

func TestPostgres_KilledAndReadOnly(t *testing.T) {
	server, err := testserver.StartPostgres(t.Context())
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, server.Stop()) })
	at := place{database.Config{Driver: database.Postgres, DSN: databaseOf(t, server)}}
	db := at.migrated(t)
	write, read := db.ToWrite(), db.ToRead()
	t.Cleanup(write.Close)
	t.Cleanup(read.Close)
	add, look := write.One(`INSERT INTO effects VALUES ($1)`), read.One(`SELECT count(*) FROM effects WHERE n < $1`)
	require.NoError(t, errors.Join(write.Err(), read.Err()))
	use := func(n int) error {
		err := db.Update(t.Context(), database.Relaxed, func(ctx context.Context, tx *sql.Tx) error {
			_, err := tx.StmtContext(ctx, add).ExecContext(ctx, n)
			return err
		})
		return errors.Join(err, look.QueryRowContext(t.Context(), 99).Scan(new(int)), db.Ping(t.Context()))
	}
	require.NoError(t, use(1))

	server.Kill()
	began := time.Now()
	err = use(2)
	require.Error(t, err)
	require.True(t, database.Unavailable(err), err)
	require.False(t, database.Retryable(err))
	require.Error(t, db.Ping(t.Context()))
	require.Less(t, time.Since(began), 5*time.Second)
	require.NoError(t, server.Start(t.Context()))
	require.NoError(t, use(3), "statements are prepared anew")

	set := func(value string) {
		administer(t, at.config.DSN, "ALTER SYSTEM SET default_transaction_read_only = "+value, "SELECT pg_reload_conf()")
	}
	set("on")
	require.Eventually(t, func() bool { return db.Ping(t.Context()) != nil }, 10*time.Second, 10*time.Millisecond)
	require.ErrorContains(t, db.Ping(t.Context()), "read-only")
	err = db.Update(t.Context(), database.Relaxed, func(ctx context.Context, tx *sql.Tx) error { return insert(ctx, tx, 9) })
	require.True(t, database.Unavailable(err), err)
	set("off")
	require.Eventually(t, func() bool { return db.Ping(t.Context()) == nil }, 10*time.Second, 10*time.Millisecond)
	require.NoError(t, use(4))
}

// Whatever the server's preset is, a transaction has the isolation that it was
// made for.
func TestUpdate_ReadCommittedWhateverThePreset(t *testing.T) {
	at := onPostgres(t)
	administer(t, at.config.DSN, `DO $$ BEGIN EXECUTE format('ALTER DATABASE %I SET default_transaction_isolation = serializable', current_database()); END $$`)
	handles := []*database.DB{at.migrated(t), at.open(t)}
	do(t, handles[0], `CREATE TABLE sums (n INTEGER PRIMARY KEY, total INTEGER NOT NULL)`)
	const each = 500
	var wg sync.WaitGroup
	for _, db := range handles {
		for n := range each {
			wg.Go(func() {
				assert.NoError(t, db.Update(t.Context(), database.Relaxed, func(ctx context.Context, tx *sql.Tx) error {
					_, err := tx.ExecContext(ctx, `INSERT INTO sums VALUES ($1, 1) ON CONFLICT (n) DO UPDATE SET total = sums.total + 1`, n%3)
					return err
				}))
			})
		}
	}
	wg.Wait()
	var total int
	require.NoError(t, handles[0].Read().QueryRowContext(t.Context(), `SELECT sum(total) FROM sums`).Scan(&total))
	require.Equal(t, 2*each, total)
}
