package verify

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/answerfeed/answerfeed/app/database"
	"github.com/answerfeed/answerfeed/internal/testserver"
)

// server is started when the first test asks for it.
var server = sync.OnceValues(func() (*testserver.Postgres, error) { return testserver.SharedPostgres(context.Background()) })

func TestMain(m *testing.M) {
	code := m.Run()
	for _, stop := range []func() error{
		func() error {
			s, err := server()
			if err != nil {
				return err
			}
			return s.Stop()
		},
		func() error { return goleak.Find() },
	} {
		if err := stop(); err != nil && code == 0 {
			fmt.Fprintln(os.Stderr, err)
			code = 1
		}
	}
	os.Exit(code)
}

// onEach runs a test on a database of each kind, with the tables of a run.
func onEach(t *testing.T, test func(t *testing.T, db *database.DB)) {
	t.Run("SQLite", func(t *testing.T) {
		test(t, ready(t, database.Config{Driver: database.SQLite, DSN: filepath.Join(t.TempDir(), "verify.db")}))
	})
	t.Run("PostgreSQL", func(t *testing.T) {
		test(t, ready(t, database.Config{Driver: database.Postgres, DSN: postgres(t)}))
	})
}

// postgres is an empty database.
func postgres(t *testing.T) string {
	t.Helper()
	s, err := server()
	require.NoError(t, err)
	dsn, err := s.Database(t.Context())
	require.NoError(t, err)
	return dsn
}

func ready(t *testing.T, cfg database.Config) *database.DB {
	t.Helper()
	db, err := database.Open(t.Context(), cfg)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, db.Close()) })
	require.NoError(t, db.Migrate(t.Context()))
	require.NoError(t, makeTables(t.Context(), db))
	return db
}

// effectsOf is what the trigger counted.
func effectsOf(t *testing.T, db *database.DB) map[string]int {
	t.Helper()
	all := map[string]int{}
	require.NoError(t, eachEffect(context.WithoutCancel(t.Context()), db, func(id string, n int) { all[id] = n }))
	return all
}
