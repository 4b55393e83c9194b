package testserver

import (
	"os"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/stretchr/testify/require"
)

// A full disk refuses what needs room, and takes it once it has room again.
func TestDisk(t *testing.T) {
	d, err := MountDisk(t.Context(), 16<<20)
	require.NoError(t, err)
	for _, suite := range []Suite{Installed, Sid} {
		t.Run(suite.String(), func(t *testing.T) {
			p, err := StartPostgresOf(t.Context(), suite, "fsync = off")
			require.NoError(t, err)
			defer func() { require.NoError(t, p.Stop()) }()
			require.NoError(t, p.OnDisk(t.Context(), d))
			defer func() { require.NoError(t, os.RemoveAll(filepath.Join(d.Dir, "tables"))) }()
			var conn *pgx.Conn
			require.Eventually(t, func() bool { // the setting holds a moment later
				if conn, err = pgx.Connect(t.Context(), p.DSN); err != nil {
					return false
				}
				var space string
				return conn.QueryRow(t.Context(), "SHOW default_tablespace").Scan(&space) == nil && space == "small"
			}, time.Minute, 10*time.Millisecond)
			_, err = conn.Exec(t.Context(), "CREATE TABLE big AS SELECT repeat('x', 1000) FROM generate_series(1, 1000)")
			require.NoError(t, err)
			require.NoError(t, d.Fill())
			const more = "INSERT INTO big SELECT repeat('x', 1000) FROM generate_series(1, 1000)"
			_, err = conn.Exec(t.Context(), more)
			var refused *pgconn.PgError
			require.ErrorAs(t, err, &refused)
			require.Equal(t, "53100", refused.Code)
			require.NoError(t, d.Free(t.Context()))
			_, err = conn.Exec(t.Context(), more)
			require.NoError(t, err)
			require.NoError(t, conn.Close(t.Context()))
		})
	}
	require.NoError(t, d.Fill())
	require.ErrorIs(t, os.WriteFile(filepath.Join(d.Dir, "file"), []byte("x"), 0o600), syscall.ENOSPC)
	require.NoError(t, d.Unmount())
	require.NoDirExists(t, d.Dir)
}
