package database_test

import (
	"context"
	"database/sql"

	"net/url"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/answerfeed/answerfeed/app/database"
	"github.com/answerfeed/answerfeed/internal/testserver"
)

// A primary becomes a standby's like: it refuses to write, and keeps its
// connections open. The pool must not stay on them.
func TestFailover_ToAPromotedStandby(t *testing.T) {
	for _, suite := range []testserver.Suite{testserver.Installed, testserver.Sid} {
		t.Run(suite.String(), func(t *testing.T) {
			for name, through := range map[string]func(*testing.T, *url.URL, *url.URL) (dsn string, move func()){
				"behind an address that moves": func(t *testing.T, from, to *url.URL) (string, func()) {
					r := startRelay(t, from.String())
					return r.dsn + "&target_session_attrs=read-write", func() { r.move(to.Host) }
				},
				"of two hosts": func(_ *testing.T, from, to *url.URL) (string, func()) {
					both := *from
					both.Host = from.Host + "," + to.Host
					return both.String() + "&target_session_attrs=read-write", func() {}
				},
			} {
				t.Run(name, func(t *testing.T) { failover(t, suite, through) })
			}
		})
	}
}

func failover(t *testing.T, suite testserver.Suite, through func(*testing.T, *url.URL, *url.URL) (string, func())) {
	primary, err := testserver.StartPostgresOf(t.Context(), suite, "fsync = off")
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, primary.Stop()) })
	standby, err := primary.StartStandby(t.Context())
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, standby.Stop()) })
	from, err := url.Parse(databaseOf(t, primary))
	require.NoError(t, err)
	to, err := url.Parse(standby.DSN)
	require.NoError(t, err)
	dsn, move := through(t, from, to)

	at := place{database.Config{Driver: database.Postgres, DSN: dsn}}
	db := at.migrated(t)
	fill(t, db, 8)
	require.NoError(t, db.Ping(t.Context()))
	administer(t, primary.DSN, "ALTER SYSTEM SET default_transaction_read_only = on", "SELECT pg_reload_conf()")
	require.NoError(t, standby.Promote(t.Context()))
	move()
	moved := time.Now()
	for n := 1; ; n++ {
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		ping := db.Ping(ctx)
		write := db.Update(ctx, database.Durable, func(ctx context.Context, tx *sql.Tx) error { return insert(ctx, tx, n) })
		cancel()
		if ping == nil && write == nil {
			break
		}
		require.Less(t, time.Since(moved), 5*time.Second, "%v %v", ping, write)
		<-time.After(100 * time.Millisecond)
	}
	var port int
	for range 20 {
		require.NoError(t, db.Read().QueryRowContext(t.Context(), "SELECT inet_server_port()").Scan(&port))
		require.Equal(t, standby.Port, port, "reads, too, go to the new primary")
	}
	fill(t, db, 8)
}
