package leaderboard

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
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
	cfg := database.Config{Driver: driver, DSN: filepath.Join(t.TempDir(), "leaderboard.db")}
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

// happening is an event.AnswerAdded or an event.AnswerRemoved.
type happening any

// put is an answer as a consumer has it, with the digest of its payload.
func put(t require.TestingT, question, id, author string, second int, note string) happening {
	payload, err := event.AnswerAdded{QuestionID: question, AnswerID: id, AuthorID: author, OccurredAt: at(second), EventID: note}.Encode()
	require.NoError(t, err)
	e, err := event.DecodeAnswerAdded(payload)
	require.NoError(t, err)
	return e
}

func gone(question, id string) happening {
	return event.AnswerRemoved{QuestionID: question, AnswerID: id, OccurredAt: at(0)}
}

// send gives e to the Store as its handlers do.
func send(ctx context.Context, s *Store, e happening) error {
	if e, ok := e.(event.AnswerRemoved); ok {
		return s.AnswerRemoved(ctx, e)
	}
	return s.AnswerAdded(ctx, e.(event.AnswerAdded))
}

// applyBatch takes events in as one batch.
func applyBatch(ctx context.Context, db *database.DB, s *Store, events []happening) error {
	changes := make([]change, len(events))
	for i, e := range events {
		switch e := e.(type) {
		case event.AnswerAdded:
			changes[i] = answerAdded(e)
		case event.AnswerRemoved:
			changes[i] = answerRemoved(e)
		}
	}
	return db.Update(ctx, database.Relaxed, func(ctx context.Context, tx *sql.Tx) error {
		return s.apply(ctx, tx, changes)
	})
}

// dump is every column of every row of both tables, sorted.
func dump(t require.TestingT, db *database.DB) []string {
	lines := []string{}
	rows, err := db.Read().Query(`SELECT question_id, answer_id, removed, version_at, version_digest, author_id FROM leaderboard_answers`)
	require.NoError(t, err)
	defer rows.Close()
	for rows.Next() {
		var question, id, author string
		var gone bool
		var versionAt sql.NullInt64
		var digest []byte
		require.NoError(t, rows.Scan(&question, &id, &gone, &versionAt, &digest, &author))
		lines = append(lines, answerLine(question, id, gone, versionAt.Int64, digest, author))
	}
	require.NoError(t, rows.Err())
	authors, err := db.Read().Query(`SELECT author_id, answers FROM leaderboard_authors`)
	require.NoError(t, err)
	defer authors.Close()
	for authors.Next() {
		var author string
		var n int
		require.NoError(t, authors.Scan(&author, &n))
		lines = append(lines, authorLine(author, n))
	}
	require.NoError(t, authors.Err())
	slices.Sort(lines)
	return lines
}

func answerLine(question, id string, gone bool, versionAt int64, digest []byte, author string) string {
	return fmt.Sprintf("answer %q %q removed %v at %d %x by %q", question, id, gone, versionAt, digest, author)
}

func authorLine(author string, n int) string { return fmt.Sprintf("author %q %d", author, n) }

func empty(t require.TestingT, db *database.DB) {
	err := db.Update(context.Background(), database.Relaxed, func(ctx context.Context, tx *sql.Tx) error {
		_, err := tx.ExecContext(ctx, `DELETE FROM leaderboard_answers; DELETE FROM leaderboard_authors`)
		return err
	})
	require.NoError(t, err)
}
