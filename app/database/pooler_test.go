package database_test

import (
	"context"
	"fmt"
	"net/url"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"strconv"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"github.com/answerfeed/answerfeed/app/database"
	"github.com/answerfeed/answerfeed/internal/testserver"
)

// pooler starts a PgBouncer before the server of dsn, and returns the DSN
// through it.
func pooler(t *testing.T, dsn, mode string) string {
	t.Helper()
	if _, err := exec.LookPath("pgbouncer"); err != nil {
		out, err := exec.Command("apt-get", "install", "-yq", "--no-install-recommends", "pgbouncer").CombinedOutput()
		require.NoError(t, err, string(out))
	}
	server, err := url.Parse(dsn)
	require.NoError(t, err)
	port, err := testserver.FreePort()
	require.NoError(t, err)
	dir, err := os.MkdirTemp("", "answerfeed-pgbouncer") //nolint:usetesting // PgBouncer runs as another user, to whom the folders above t.TempDir are closed
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, os.RemoveAll(dir)) })
	password, _ := server.User.Password()
	ini, users := filepath.Join(dir, "pgbouncer.ini"), filepath.Join(dir, "users.txt")
	require.NoError(t, os.WriteFile(users, fmt.Appendf(nil, "%q %q\n", server.User.Username(), password), 0o644))
	require.NoError(t, os.WriteFile(ini, fmt.Appendf(nil, `[databases]
* = host=%s port=%s
[pgbouncer]
listen_addr = 127.0.0.1
listen_port = %d
unix_socket_dir =
auth_type = plain
auth_file = %s
pool_mode = %s
`, server.Hostname(), server.Port(), port, users, mode), 0o644))
	require.NoError(t, os.Chmod(dir, 0o755))
	command := []string{"pgbouncer", ini}
	if os.Geteuid() == 0 { // which it refuses to run as
		nobody, err := user.Lookup("nobody")
		require.NoError(t, err)
		command = append([]string{"setpriv", "--reuid", nobody.Uid, "--regid", nobody.Gid, "--clear-groups", "--"}, command...)
	}
	cmd := exec.Command(command[0], command[1:]...)
	require.NoError(t, cmd.Start())
	t.Cleanup(func() { _ = cmd.Process.Kill(); _ = cmd.Wait() })
	through := *server
	through.Host = "127.0.0.1:" + strconv.Itoa(port)
	for deadline := time.Now().Add(20 * time.Second); ; <-time.After(20 * time.Millisecond) {
		conn, err := pgx.Connect(t.Context(), through.String()+"&default_query_exec_mode=simple_protocol")
		if err == nil {
			require.NoError(t, conn.Close(context.WithoutCancel(t.Context())))
			return through.String()
		}
		require.True(t, time.Now().Before(deadline), "PgBouncer does not answer: %v", err)
	}
}

func TestOpen_PoolerInTransactionMode(t *testing.T) {
	at := onPostgres(t)
	at.config.DSN = pooler(t, at.config.DSN, "transaction")
	_, err := database.Open(t.Context(), at.config)
	require.ErrorContains(t, err, "set its pool_mode to session")
}

func TestOpen_PoolerInSessionMode(t *testing.T) {
	at := onPostgres(t)
	at.config.DSN = pooler(t, at.config.DSN, "session")
	db := at.migrated(t)
	require.NoError(t, db.TryWrite(t.Context()))
	require.NoError(t, db.Ping(t.Context()))
}
