package testserver

import (
	"context"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"
)

func connect(t *testing.T, dsn string) *pgx.Conn {
	t.Helper()
	conn, err := pgx.Connect(t.Context(), dsn)
	require.NoError(t, err)
	t.Cleanup(func() { _ = conn.Close(context.Background()) }) // the server may be gone
	return conn
}

func ask(t *testing.T, conn *pgx.Conn, query string) (answer string) {
	t.Helper()
	require.NoError(t, conn.QueryRow(t.Context(), query).Scan(&answer))
	return answer
}

func TestPostgres_KillStartStop(t *testing.T) {
	p, err := StartPostgres(t.Context(), "work_mem = 5555kB")
	require.NoError(t, err)
	dsn, err := p.Database(t.Context())
	require.NoError(t, err)
	conn := connect(t, dsn)
	require.Equal(t, "5555kB", ask(t, conn, "SHOW work_mem"))
	require.Equal(t, "on", ask(t, conn, "SHOW fsync"))
	_, err = conn.Exec(t.Context(), "CREATE TABLE kept AS SELECT 'kept' AS it")
	require.NoError(t, err)
	sleeping := make(chan error, 1)
	go func() {
		_, err := conn.Exec(t.Context(), "SELECT pg_sleep(600)")
		sleeping <- err
	}()
	other := connect(t, dsn)
	require.Eventually(t, func() bool {
		return ask(t, other, "SELECT count(*)::text FROM pg_stat_activity WHERE query LIKE '%pg_sleep(600)' AND state = 'active'") == "1"
	}, patience, 10*time.Millisecond)

	p.Kill()
	require.Error(t, <-sleeping, "what is at work ends too")
	require.NoError(t, p.Start(t.Context()))
	require.Equal(t, "kept", ask(t, connect(t, dsn), "SELECT it FROM kept"))
	require.NoError(t, p.Start(t.Context()), "one that runs is killed first")
	require.NotEmpty(t, p.Log())
	require.NoError(t, p.Stop())
	require.NoDirExists(t, p.dir)
	requireNoUsers(t, p.dir)
	require.NoError(t, p.Stop(), "twice")
}

// A server that others run is used, and left as it was.
func TestSharedPostgres_Given(t *testing.T) {
	given, err := StartPostgres(t.Context(), "fsync = off")
	require.NoError(t, err)
	defer func() { require.NoError(t, given.Stop()) }()
	t.Setenv(DSNVariable, given.DSN)
	p, err := SharedPostgres(t.Context())
	require.NoError(t, err)
	require.Equal(t, given.DSN, p.DSN)
	own, err := p.Database(t.Context())
	require.NoError(t, err)
	require.NotEqual(t, "postgres", ask(t, connect(t, own), "SELECT current_database()"))
	p.Kill()
	require.ErrorContains(t, p.Start(t.Context()), "needs a PostgreSQL of the test's own")
	require.NoError(t, p.Stop())
	require.Equal(t, "0", ask(t, connect(t, given.DSN), `SELECT count(*)::text FROM pg_database WHERE datname LIKE 'test\_%'`))

	t.Setenv(DSNVariable, "host=127.0.0.1 password=secret")
	p, err = SharedPostgres(t.Context())
	require.NoError(t, err)
	_, err = p.Database(t.Context())
	require.ErrorContains(t, err, "not a URL")
	require.NotContains(t, err.Error(), "secret")
}
