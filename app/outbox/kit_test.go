package outbox_test

import (
	"context"
	"database/sql"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/answerfeed/answerfeed/app/database"
	"github.com/answerfeed/answerfeed/app/event"
	"github.com/answerfeed/answerfeed/internal/testserver"
)

// server is one PostgreSQL for all tests, started when the first asks for it.
var server = sync.OnceValues(func() (*testserver.Postgres, error) {
	return testserver.SharedPostgres(context.Background())
})

func TestMain(m *testing.M) {
	if text := os.Getenv(childVariable); text != "" {
		fmt.Fprintln(os.Stderr, answerWithoutEnd(text))
		os.Exit(1)
	}
	code := m.Run()
	if s, err := server(); err == nil {
		err = s.Stop()
		if err != nil {
			fmt.Fprintln(os.Stderr, err)
			code = 1
		}
	}
	if err := goleak.Find(); code == 0 && err != nil {
		fmt.Fprintln(os.Stderr, err)
		code = 1
	}
	os.Exit(code)
}

// onBoth runs a test on a migrated database of each kind, in which site_answers is
// a producer's own table.
func onBoth(t *testing.T, test func(t *testing.T, db *database.DB, cfg database.Config)) {
	t.Run("SQLite", func(t *testing.T) {
		cfg := database.Config{Driver: database.SQLite, DSN: filepath.Join(t.TempDir(), "site.db")}
		test(t, migrated(t, cfg), cfg)
	})
	t.Run("PostgreSQL", func(t *testing.T) {
		cfg := database.Config{Driver: database.Postgres, DSN: dsn(t)}
		test(t, migrated(t, cfg), cfg)
	})
}

// dsn is a new database of PostgreSQL.
func dsn(t *testing.T) string {
	t.Helper()
	s, err := server()
	require.NoError(t, err)
	dsn, err := s.Database(t.Context())
	require.NoError(t, err)
	return dsn
}

func migrated(t *testing.T, cfg database.Config) *database.DB {
	t.Helper()
	db, err := database.Open(t.Context(), cfg)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, db.Close()) })
	require.NoError(t, db.Migrate(t.Context()))
	update(t, db, `CREATE TABLE site_answers (answer_id TEXT PRIMARY KEY)`)
	return db
}

func update(t *testing.T, db *database.DB, query string, args ...any) {
	t.Helper()
	require.NoError(t, db.Update(t.Context(), database.Durable, func(ctx context.Context, tx *sql.Tx) error {
		_, err := tx.ExecContext(ctx, query, args...)
		return err
	}))
}

// answer is an event.
func answer(id string) event.AnswerAdded {
	return event.AnswerAdded{AnswerID: id, QuestionID: "q1", OccurredAt: time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)}
}

// stored is a row of the outbox.
type stored struct{ topic, uuid, metadata, payload string }

// outboxOf is what waits in the outbox, first stored first.
func outboxOf(t *testing.T, db *database.DB) (all []stored) {
	t.Helper()
	rows, err := db.Read().QueryContext(t.Context(), `SELECT topic, uuid, metadata, payload FROM outbox ORDER BY id`)
	require.NoError(t, err)
	defer rows.Close()
	for rows.Next() {
		var s stored
		var payload []byte
		require.NoError(t, rows.Scan(&s.topic, &s.uuid, &s.metadata, &payload))
		s.payload = string(payload)
		all = append(all, s)
	}
	require.NoError(t, rows.Err())
	return all
}
