package leaderboard

import (
	"context"
	"database/sql"
	"fmt"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/answerfeed/answerfeed/app/database"
	"github.com/answerfeed/answerfeed/app/event"
)

func TestCases(t *testing.T) {
	var dbs []*database.DB
	for _, driver := range drivers {
		dbs = append(dbs, openDB(t, driver))
	}
	first, second := put(t, "q1", "a1", "ann", 1, "x"), put(t, "q1", "a1", "bob", 1, "y")
	larger := "ann"
	if answerAdded(first.(event.AnswerAdded)).answer.version.Before(answerAdded(second.(event.AnswerAdded)).answer.version) {
		larger = "bob"
	}
	for _, test := range []struct {
		name   string
		events []happening
		want   []Author
	}{
		{"nothing", nil, []Author{}},
		{"one answer", []happening{put(t, "q1", "a1", "ann", 1, "")}, []Author{{"ann", 1}}},
		{"the same again", []happening{put(t, "q1", "a1", "ann", 1, ""), put(t, "q1", "a1", "ann", 1, "")}, []Author{{"ann", 1}}},
		{"no author", []happening{put(t, "q1", "a1", "", 1, "")}, []Author{}},
		{"most answers first, ties by id", []happening{put(t, "q1", "a1", "bob", 1, ""), put(t, "q1", "a2", "ann", 1, ""), put(t, "q1", "a3", "cid", 1, ""),
			put(t, "q1", "a4", "cid", 1, ""), put(t, "q1", "a5", "Zoe", 1, "")}, []Author{{"cid", 2}, {"Zoe", 1}, {"ann", 1}, {"bob", 1}}},
		{"a later version names another", []happening{put(t, "q1", "a1", "ann", 1, ""), put(t, "q1", "a1", "bob", 2, "")}, []Author{{"bob", 1}}},
		{"a later version names nobody", []happening{put(t, "q1", "a1", "ann", 1, ""), put(t, "q1", "a1", "", 2, "")}, []Author{}},
		{"versions of one moment go by digest", []happening{first, second}, []Author{{larger, 1}}},
		{"removed", []happening{put(t, "q1", "a1", "ann", 1, ""), put(t, "q1", "a2", "ann", 1, ""), gone("q1", "a1")}, []Author{{"ann", 1}}},
		{"removed for ever", []happening{put(t, "q1", "a1", "ann", 1, ""), gone("q1", "a1"), put(t, "q1", "a1", "ann", 9, "")}, []Author{}},
		{"one id under two questions", []happening{put(t, "q1", "a1", "ann", 1, ""), put(t, "q2", "a1", "ann", 1, ""), gone("q2", "a1")}, []Author{{"ann", 1}}},
	} {
		for order, arrange := range map[string]func([]happening){"in order": func([]happening) {}, "backwards": slices.Reverse[[]happening]} {
			for _, db := range dbs {
				t.Run(fmt.Sprintf("%s, %s, %s", test.name, order, db.Driver()), func(t *testing.T) {
					empty(t, db)
					s := newStore(t, db)
					events := slices.Clone(test.events)
					arrange(events)
					for _, e := range events {
						require.NoError(t, send(t.Context(), s, e))
					}
					top, err := s.Top(t.Context(), 10)
					require.NoError(t, err)
					require.Equal(t, test.want, top)
				})
			}
		}
	}
}

func TestTopLimit(t *testing.T) {
	onEach(t, func(t *testing.T, driver string) {
		s := newStore(t, openDB(t, driver))
		for i := range 5 {
			require.NoError(t, send(t.Context(), s, put(t, "q1", fmt.Sprint(i), fmt.Sprint("author ", i), 1, "")))
		}
		top, err := s.Top(t.Context(), 3)
		require.NoError(t, err)
		require.Equal(t, []Author{{"author 0", 1}, {"author 1", 1}, {"author 2", 1}}, top)
		for _, limit := range []int{-1, 0, MaxLimit + 1} {
			_, err := s.Top(t.Context(), limit)
			require.ErrorContains(t, err, "limit")
		}
	})
}

func TestRepetitionWritesNothing(t *testing.T) {
	onEach(t, func(t *testing.T, driver string) {
		db := openDB(t, driver)
		s := newStore(t, db)
		events := []happening{put(t, "q1", "a1", "ann", 1, ""), put(t, "q1", "a1", "ann", 2, ""), put(t, "q1", "a2", "", 1, ""), gone("q1", "a3")}
		empty := written(t, db)
		require.NoError(t, applyBatch(t.Context(), db, s, events))
		before := written(t, db)
		require.NotEqual(t, empty, before)
		for _, e := range events {
			require.NoError(t, send(t.Context(), s, e))
		}
		require.Equal(t, before, written(t, db))
	})
}

// written is something that changes with every row that is written: SQLite
// counts them, and PostgreSQL gives each version of a row a place of its own.
func written(t *testing.T, db *database.DB) (mark string) {
	query := `SELECT total_changes()`
	if db.Driver() == database.Postgres {
		query = `
SELECT array_agg(v.ctid ORDER BY v.ctid)::text FROM (
    SELECT ctid FROM leaderboard_answers UNION ALL SELECT ctid FROM leaderboard_authors
) v`
	}
	require.NoError(t, db.Update(t.Context(), database.Relaxed, func(ctx context.Context, tx *sql.Tx) error {
		var value sql.NullString
		err := tx.QueryRowContext(ctx, query).Scan(&value)
		mark = value.String
		return err
	}))
	return mark
}

func TestClosedStoreRefuses(t *testing.T) {
	onEach(t, func(t *testing.T, driver string) {
		s, err := New(openDB(t, driver), database.Durable)
		require.NoError(t, err)
		s.Close()
		require.ErrorIs(t, send(t.Context(), s, gone("q1", "a1")), database.ErrClosed)
	})
}

func TestNewNeedsTables(t *testing.T) {
	onEach(t, func(t *testing.T, driver string) {
		db, err := database.Open(t.Context(), place(t, driver))
		require.NoError(t, err)
		t.Cleanup(func() { require.NoError(t, db.Close()) })
		_, err = New(db, database.Durable)
		require.ErrorContains(t, err, "leaderboard_answers")
	})
}
