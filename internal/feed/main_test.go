package feed

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/answerfeed/answerfeed/app/database"
	"github.com/answerfeed/answerfeed/app/event"
	"github.com/answerfeed/answerfeed/internal/testserver"
)

// server is a PostgreSQL that starts with the first test that asks for it.
var server lazy

type lazy struct {
	once sync.Once
	*testserver.Postgres
	err error
}

func (l *lazy) get(t testing.TB) *testserver.Postgres {
	t.Helper()
	l.once.Do(func() { l.Postgres, l.err = testserver.SharedPostgres(context.Background()) })
	require.NoError(t, l.err)
	return l.Postgres
}

func TestMain(m *testing.M) {
	code := m.Run()
	var err error
	if server.Postgres != nil {
		err = server.Stop()
	}
	if code == 0 {
		err = errors.Join(err, goleak.Find())
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		code = 1
	}
	os.Exit(code)
}

var drivers = []string{database.SQLite, database.Postgres}

// onEach runs a test on each database.
func onEach(t *testing.T, test func(t *testing.T, driver string)) {
	for _, driver := range drivers {
		t.Run(driver, func(t *testing.T) { test(t, driver) })
	}
}

// place names a new empty database.
func place(t testing.TB, driver string) database.Config {
	t.Helper()
	cfg := database.Config{Driver: driver, DSN: filepath.Join(t.TempDir(), "feed.db")}
	if driver == database.Postgres {
		var err error
		cfg.DSN, err = server.get(t).Database(t.Context())
		require.NoError(t, err)
	}
	return cfg
}

// openDB opens a new migrated database.
func openDB(t testing.TB, driver string) *database.DB {
	t.Helper()
	return openAt(t, place(t, driver))
}

func openAt(t testing.TB, cfg database.Config) *database.DB {
	t.Helper()
	db, err := database.Open(t.Context(), cfg)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, db.Close()) })
	require.NoError(t, db.Migrate(t.Context()))
	return db
}

func newStore(t testing.TB, db *database.DB) *Store {
	t.Helper()
	s, err := New(db, database.Relaxed)
	require.NoError(t, err)
	t.Cleanup(s.Close)
	return s
}

// at is a moment of the tests: n seconds after the first.
func at(n int) time.Time { return time.Date(2024, 5, 1, 12, 0, n, 0, time.UTC) }

// happening is one of the three events.
type happening any

// received returns e as a consumer has it, with the digest of its payload.
func received(t require.TestingT, e happening) happening {
	var payload []byte
	var err error
	switch e := e.(type) {
	case event.QuestionAdded:
		if payload, err = e.Encode(); err == nil {
			var got event.QuestionAdded
			got, err = event.DecodeQuestionAdded(payload)
			require.NoError(t, err)
			return got
		}
	case event.AnswerAdded:
		if payload, err = e.Encode(); err == nil {
			var got event.AnswerAdded
			got, err = event.DecodeAnswerAdded(payload)
			require.NoError(t, err)
			return got
		}
	case event.AnswerRemoved:
		if payload, err = e.Encode(); err == nil {
			var got event.AnswerRemoved
			got, err = event.DecodeAnswerRemoved(payload)
			require.NoError(t, err)
			return got
		}
	}
	require.NoError(t, err)
	require.Fail(t, "no event", "%T", e)
	return nil
}

// send gives e to the Store as its handlers do.
func send(ctx context.Context, s *Store, e happening) error {
	switch e := e.(type) {
	case event.QuestionAdded:
		return s.QuestionAdded(ctx, e)
	case event.AnswerAdded:
		return s.AnswerAdded(ctx, e)
	case event.AnswerRemoved:
		return s.AnswerRemoved(ctx, e)
	}
	return fmt.Errorf("%T is no event", e)
}

// applyBatch takes events in as one batch.
func applyBatch(ctx context.Context, s *Store, events []happening) error {
	changes := make([]change, len(events))
	for i, e := range events {
		switch e := e.(type) {
		case event.QuestionAdded:
			changes[i] = questionAdded(e)
		case event.AnswerAdded:
			changes[i] = answerAdded(e)
		case event.AnswerRemoved:
			changes[i] = answerRemoved(e)
		}
	}
	return s.db.Update(ctx, database.Relaxed, func(ctx context.Context, tx *sql.Tx) error {
		return s.apply(ctx, tx, changes)
	})
}

var tables = []string{"questions", "answers", "subjects"}

// dump is every column of every row of every table, sorted.
func dump(t require.TestingT, db *database.DB) []string {
	lines := []string{}
	for _, table := range tables {
		rows, err := db.Read().Query("SELECT * FROM " + table)
		require.NoError(t, err)
		names, err := rows.Columns()
		require.NoError(t, err)
		for rows.Next() {
			values, into := make([]any, len(names)), make([]any, len(names))
			for i := range values {
				into[i] = &values[i]
			}
			require.NoError(t, rows.Scan(into...))
			lines = append(lines, line(table, names, values))
		}
		require.NoError(t, rows.Err())
		require.NoError(t, rows.Close())
	}
	slices.Sort(lines)
	return lines
}

func line(table string, names []string, values []any) string {
	parts := []string{table}
	for i, name := range names {
		value := values[i]
		switch v := value.(type) {
		case []byte:
			value = fmt.Sprintf("%x", v)
		case bool:
			value = map[bool]int{true: 1}[v] // as SQLite has it
		}
		parts = append(parts, fmt.Sprintf("%s=%v", name, value))
	}
	return strings.Join(parts, " ")
}

func empty(t require.TestingT, db *database.DB) {
	err := db.Update(context.Background(), database.Relaxed, func(ctx context.Context, tx *sql.Tx) error {
		for _, table := range tables {
			if _, err := tx.ExecContext(ctx, "DELETE FROM "+table); err != nil {
				return err
			}
		}
		return nil
	})
	require.NoError(t, err)
}
