package database_test

import (
	"context"
	"database/sql"
	"net/url"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/answerfeed/answerfeed/app/database"
	"github.com/answerfeed/answerfeed/app/failure"
)

func onFile(t *testing.T) place {
	return place{database.Config{Driver: database.SQLite, DSN: filepath.Join(t.TempDir(), "data", "test.db")}}
}

// What is committed to a file that nobody will open again must not be
// confirmed to anybody.
func TestFile_ChangedUnderfoot_NothingIsConfirmed(t *testing.T) {
	tests := map[string]func(t *testing.T, path string){
		"removed":             func(t *testing.T, path string) { require.NoError(t, os.Remove(path)) },
		"moved away":          func(t *testing.T, path string) { require.NoError(t, os.Rename(path, path+".old")) },
		"replaced by another": func(t *testing.T, path string) { replace(t, path, nil) },
		"replaced by a copy": func(t *testing.T, path string) {
			copied, err := os.ReadFile(path)
			require.NoError(t, err)
			replace(t, path, copied)
		},
		"its log removed": func(t *testing.T, path string) { require.NoError(t, os.Remove(path+"-wal")) },
		"its log's index": func(t *testing.T, path string) { require.NoError(t, os.Remove(path+"-shm")) },
		"its directory moved": func(t *testing.T, path string) {
			require.NoError(t, os.Rename(filepath.Dir(path), filepath.Dir(path)+"2"))
		},
		"its directory a file": func(t *testing.T, path string) {
			dir := filepath.Dir(path)
			require.NoError(t, os.Rename(dir, dir+"2"))
			require.NoError(t, os.WriteFile(dir, nil, 0o600))
		},
		"its directory replaced": func(t *testing.T, path string) {
			dir := filepath.Dir(path)
			require.NoError(t, os.Rename(dir, dir+"2"))
			require.NoError(t, os.Mkdir(dir, 0o700))
			replace(t, path, nil)
		},
	}
	for name, change := range tests {
		t.Run(name, func(t *testing.T) {
			at := onFile(t)
			require.NoError(t, os.Mkdir(filepath.Dir(at.config.DSN), 0o700))
			db := at.migrated(t)
			require.NoError(t, db.Ping(t.Context()))
			change(t, at.config.DSN)
			err := db.Update(t.Context(), database.Durable, func(ctx context.Context, tx *sql.Tx) error { return insert(ctx, tx, 1) })
			require.ErrorIs(t, err, database.ErrFileGone)
			require.ErrorIs(t, db.Ping(t.Context()), database.ErrFileGone)
			require.ErrorIs(t, db.WaitFileGone(t.Context()), database.ErrFileGone)
			require.True(t, database.Unavailable(err), "no message is to blame")
			require.Equal(t, "transient", failure.Classify(err).Kind.String())
		})
	}
}

// The file may go at the worst moment, when all but the commit is done.
func TestFile_ReplacedWithinATransaction_NothingIsConfirmed(t *testing.T) {
	at := onFile(t)
	require.NoError(t, os.Mkdir(filepath.Dir(at.config.DSN), 0o700))
	db := at.migrated(t)
	err := db.Update(t.Context(), database.Relaxed, func(ctx context.Context, tx *sql.Tx) error {
		replace(t, at.config.DSN, nil)
		return insert(ctx, tx, 1)
	})
	require.ErrorIs(t, err, database.ErrFileGone)
}

// An idle process notices as well.
func TestFile_RemovedWhileIdle_IsNoticed(t *testing.T) {
	at := onFile(t)
	require.NoError(t, os.Mkdir(filepath.Dir(at.config.DSN), 0o700))
	db := at.migrated(t)
	require.NoError(t, os.Remove(at.config.DSN))
	require.ErrorIs(t, db.WaitFileGone(t.Context()), database.ErrFileGone)
}

// What people do to a file that is in use leaves it in use.
func TestFile_UsedByOthers_GoesOn(t *testing.T) {
	at := onFile(t)
	require.NoError(t, os.Mkdir(filepath.Dir(at.config.DSN), 0o700))
	db := at.migrated(t)
	for _, query := range []string{"VACUUM", "PRAGMA wal_checkpoint(TRUNCATE)", "VACUUM INTO '" + at.config.DSN + ".copy'", "CREATE TABLE other (n)"} {
		other, err := sql.Open("sqlite", "file:"+url.PathEscape(at.config.DSN)+"?_pragma=busy_timeout(10000)")
		require.NoError(t, err)
		_, err = other.ExecContext(t.Context(), query)
		require.NoError(t, err, query)
		require.NoError(t, other.Close())
		do(t, db, `INSERT INTO effects SELECT count(*) FROM effects`)
	}
	again := at.open(t)
	do(t, again, `INSERT INTO effects SELECT count(*) FROM effects`)
	require.NoError(t, again.Close())
	do(t, db, `INSERT INTO effects SELECT count(*) FROM effects`)
	require.NoError(t, db.Ping(t.Context()))
	require.Equal(t, 6, count(t, db, "effects"))
}

// replace puts a new file into the place of another, as deployments do.
func replace(t *testing.T, path string, content []byte) {
	t.Helper()
	require.NoError(t, os.WriteFile(path+".new", content, 0o600))
	require.NoError(t, os.Rename(path+".new", path))
}
