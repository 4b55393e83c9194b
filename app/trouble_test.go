package app_test

import (
	"context"
	"database/sql"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/answerfeed/answerfeed/app"
	"github.com/answerfeed/answerfeed/app/database"
	"github.com/answerfeed/answerfeed/config"
	"github.com/answerfeed/answerfeed/handlers"
	"github.com/answerfeed/answerfeed/internal/testserver"
)

// The tables' disk is full while answers and letters wait in their queues.
func TestTrouble_SQLiteDiskFull(t *testing.T) {
	t.Run("queues in SQLite", func(t *testing.T) {
		sqliteDiskFull(t, map[string]any{"transport.sql.dsn": filepath.Join(t.TempDir(), "queues.db")})
	})
	for _, suite := range testserver.Suites() {
		t.Run("queues on RabbitMQ, "+suite.String(), func(t *testing.T) {
			broker, err := testserver.StartRabbitMQWith(t.Context(), testserver.RabbitMQOptions{Suite: suite})
			require.NoError(t, err)
			t.Cleanup(func() { require.NoError(t, broker.Stop()) })
			sqliteDiskFull(t, map[string]any{"transport.kind": config.KindAMQP, "transport.amqp.url": broker.URL})
		})
	}
}

func sqliteDiskFull(t *testing.T, queues map[string]any) {
	t.Helper()
	disk := t.TempDir()
	smallDisk(t, disk, 6<<20, os.Getuid(), os.Getgid())
	s := onQueues(t, queues, database.SQLite, filepath.Join(disk, "test.db"))
	s.answers(20)
	s.done("feed", patience)
	free := fill(t, disk)
	s.answers(200)
	s.away("database")
	const letters = 10
	s.malformed(letters)
	s.lasts("database")
	free()
	s.ended("feed", 2*over, letters)
	s.ended("leaderboard", 2*over, letters)
	s.told("database")
}

// The servers of the oldest and of the newest suite.
func onServers(t *testing.T, test func(t *testing.T, p *testserver.Postgres)) {
	t.Helper()
	for _, suite := range []testserver.Suite{testserver.Installed, testserver.Sid} {
		t.Run(suite.String(), func(t *testing.T) { test(t, server(t, suite)) })
	}
}

func TestTrouble_Postgres(t *testing.T) {
	onServers(t, func(t *testing.T, p *testserver.Postgres) {
		tests := map[string]func(*testing.T, *testserver.Postgres){
			"a table is renamed":            tableRenamed,
			"a table is locked":             tableLocked,
			"the inbox is locked":           inboxLocked,
			"the letters' table is renamed": lettersRenamed,
			"read-only for a while":         readOnly,
			"a column changes its type":     columnAltered,
		}
		for name, test := range tests {
			t.Run(name, func(t *testing.T) { test(t, p) })
		}
		if t.Name() == "TestTrouble_Postgres/installed" { // those of other suites do not see what is mounted
			t.Run("a disk that is full", func(t *testing.T) { diskFull(t, p) })
		}
	})
}

// A trial's small row finds room where the answers find none: it is work that
// shows whether the outage is over.
func diskFull(t *testing.T, p *testserver.Postgres) {
	uid, gid, err := p.Owner()
	require.NoError(t, err)
	disk := filepath.Join(p.Folder(), "disk")
	require.NoError(t, os.Mkdir(disk, 0o700))
	smallDisk(t, disk, 4<<20, uid, gid)
	dsn := databaseOf(t, p)
	s := onDatabase(t, database.Postgres, dsn)
	place := filepath.Join(disk, "tables")
	require.NoError(t, os.Mkdir(place, 0o700))
	require.NoError(t, os.Chown(place, uid, gid))
	administer(t, dsn, "CREATE TABLESPACE small LOCATION '"+place+"'", "ALTER TABLE answers SET TABLESPACE small")
	t.Cleanup(func() {
		administer(t, dsn, "ALTER TABLE answers SET TABLESPACE pg_default", "DROP TABLESPACE small")
	})
	s.answers(10)
	s.done("feed", patience)
	free := fill(t, disk)
	s.answers(400)
	s.away("database")
	s.lasts("database")
	free()
	s.done("feed", over)
	s.told("database")
}

// What one handler cannot write concerns that handler alone.
func tableRenamed(t *testing.T, p *testserver.Postgres) {
	dsn := databaseOf(t, p)
	s := onDatabase(t, database.Postgres, dsn)
	administer(t, dsn, "ALTER TABLE answers RENAME TO answers_away")
	s.answers(50)
	s.away("feed/tables")
	s.done("leaderboard", over)
	s.lasts("feed/tables")
	require.True(t, s.available("database"))
	require.True(t, s.available("leaderboard/tables"))
	administer(t, dsn, "ALTER TABLE answers_away RENAME TO answers")
	s.done("feed", over)
	s.told("feed/tables")
}

// The handler's time runs out before the database's own patience.
func tableLocked(t *testing.T, p *testserver.Postgres) {
	dsn := databaseOf(t, p)
	s := onDatabase(t, database.Postgres, dsn)
	lock := administer(t, dsn, "BEGIN", "LOCK TABLE answers")
	s.answers(50)
	s.away("feed/tables")
	s.done("leaderboard", over)
	s.lasts("feed/tables")
	_, err := lock.Exec(t.Context(), "COMMIT")
	require.NoError(t, err)
	s.done("feed", over)
	s.told("feed/tables")
}

// counter is a handler that uses the inbox.
func counter() handlers.Handler {
	return handlers.Handler{Name: "counter", Topics: func(e handlers.Env) []handlers.Topic {
		decode := func(payload []byte) (string, error) { return string(payload), nil }
		return []handlers.Topic{app.On("answer-added", decode, func(ctx context.Context, payload string) error {
			return e.DB.Once(ctx, "counter", "answer-added", payload, func(context.Context, *sql.Tx) error { return nil })
		})}
	}}
}

func inboxLocked(t *testing.T, p *testserver.Postgres) {
	dsn := databaseOf(t, p)
	s := onDatabase(t, database.Postgres, dsn, counter())
	lock := administer(t, dsn, "BEGIN", "LOCK TABLE inbox")
	s.answers(50)
	s.away("counter/tables")
	s.done("feed", over)
	s.lasts("counter/tables")
	_, err := lock.Exec(t.Context(), "COMMIT")
	require.NoError(t, err)
	s.done("counter", over)
	s.told("counter/tables")
	var notes int
	require.NoError(t, lock.QueryRow(t.Context(), "SELECT count(*) FROM inbox").Scan(&notes))
	require.Equal(t, 50, notes)
}

// Letters wait in their queue, in no loop and with no more than a line each.
func lettersRenamed(t *testing.T, p *testserver.Postgres) {
	dsn := databaseOf(t, p)
	s := onDatabase(t, database.Postgres, dsn)
	admin := administer(t, dsn, "ALTER TABLE dead_letters RENAME TO letters_away")
	s.malformed(10)
	s.away("dead_letters")
	s.answers(10)
	s.lasts("dead_letters")
	_, err := admin.Exec(t.Context(), "ALTER TABLE letters_away RENAME TO dead_letters")
	require.NoError(t, err)
	eventually(t, func() bool {
		var letters int
		require.NoError(t, admin.QueryRow(t.Context(), "SELECT count(*) FROM dead_letters WHERE handler = 'feed'").Scan(&letters))
		return letters == 10
	})
	s.told("dead_letters")
	require.LessOrEqual(t, strings.Count(s.log.String(), "could not be stored"), 20, "those of two handlers")
}

func readOnly(t *testing.T, p *testserver.Postgres) {
	dsn := databaseOf(t, p)
	s := onDatabase(t, database.Postgres, dsn)
	s.answers(10)
	s.done("feed", patience)
	admin := administer(t, p.DSN)
	set := func(to string) {
		_, err := admin.Exec(t.Context(), `DO $$ DECLARE db text; BEGIN
			FOR db IN SELECT datname FROM pg_database WHERE datname LIKE 'test%' LOOP
				EXECUTE format('ALTER DATABASE %I SET default_transaction_read_only = `+to+`', db); END LOOP; END $$`)
		require.NoError(t, err)
	}
	set("on")
	_, err := admin.Exec(t.Context(), "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname LIKE 'test%'")
	require.NoError(t, err)
	s.answers(50)
	s.away("database")
	s.lasts("database")
	set("off")
	s.done("feed", over)
	s.done("leaderboard", over)
	s.told("database")
}

// Statements that were prepared before are prepared anew.
func columnAltered(t *testing.T, p *testserver.Postgres) {
	dsn := databaseOf(t, p)
	s := onDatabase(t, database.Postgres, dsn)
	admin := administer(t, dsn)
	for _, column := range []string{"varchar(4000)", "text", "varchar(3000)"} {
		for range 20 {
			s.answers(20)
		}
		_, err := admin.Exec(t.Context(), "ALTER TABLE answers ALTER COLUMN excerpt TYPE "+column)
		require.NoError(t, err)
		s.answers(20)
		s.done("feed", over)
	}
	require.NotContains(t, s.log.String(), "attempt failed")
}
