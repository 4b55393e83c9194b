package feed

import (
	"context"
	"database/sql"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/sync/errgroup"
	"pgregory.net/rapid"

	"github.com/answerfeed/answerfeed/app/database"
	"github.com/answerfeed/answerfeed/app/event"
)

// Few ids, times and texts, so that events meet; among the ids some that
// JSON writes otherwise, or that sort otherwise without regard to case.
var (
	questionIDs = rapid.SampledFrom([]string{"q1", "q2", "Q1", "q\"<\u2028é"})
	answerIDs   = rapid.SampledFrom([]string{"a1", "a2", "a10", "B", "á\\"})
	subjectIDs  = rapid.SampledFrom([]string{"algebra", "Algebra", "biology"})
	others      = rapid.SampledFrom([]string{"", "x", "y"})
	seconds     = rapid.IntRange(0, 3)
)

var happenings = rapid.Custom(func(t *rapid.T) happening {
	q, when, note := questionIDs.Draw(t, "question"), at(seconds.Draw(t, "second")), others.Draw(t, "event id")
	switch kind := rapid.IntRange(0, 19).Draw(t, "kind"); {
	case kind < 6:
		return received(t, event.QuestionAdded{QuestionID: q, Title: "title", Subject: subjectIDs.Draw(t, "subject"),
			Grade: "g", AuthorID: others.Draw(t, "author"), Excerpt: others.Draw(t, "excerpt"), OccurredAt: when, EventID: note})
	case kind < 19:
		return received(t, event.AnswerAdded{QuestionID: q, AnswerID: answerIDs.Draw(t, "answer"),
			AuthorID: others.Draw(t, "author"), Excerpt: others.Draw(t, "excerpt"), OccurredAt: when, EventID: note})
	default:
		return received(t, event.AnswerRemoved{QuestionID: q, AnswerID: answerIDs.Draw(t, "answer"), OccurredAt: when, EventID: note})
	}
})

// delivered draws an order in which events come, some of them repeatedly.
func delivered(t *rapid.T, events []happening) []happening {
	again := rapid.SliceOfN(rapid.SampledFrom(events), 0, len(events)).Draw(t, "again")
	return rapid.Permutation(slices.Concat(events, again)).Draw(t, "order")
}

// apply takes events in, in batches of the sizes given, over and over.
func apply(ctx context.Context, s *Store, events []happening, sizes []int) error {
	for i := 0; len(events) > 0; i++ {
		n := min(sizes[i%len(sizes)], len(events))
		if err := applyBatch(ctx, s, events[:n]); err != nil {
			return err
		}
		events = events[n:]
	}
	return nil
}

func TestConverges(t *testing.T) {
	onEach(t, func(t *testing.T, driver string) {
		for name, appliers := range map[string]int{"one applier": 1, "four appliers": 4} {
			t.Run(name, func(t *testing.T) {
				db := openDB(t, driver)
				stores := make([]*Store, appliers)
				for i := range stores {
					stores[i] = newStore(t, db)
				}
				rapid.Check(t, func(t *rapid.T) { converges(t, stores) })
			})
		}
	})
}

// converges has the stores take the same events in twice, in other orders.
func converges(t *rapid.T, stores []*Store) {
	db := stores[0].db
	events := rapid.SliceOfN(happenings, 1, 40).Draw(t, "events")
	want := recompute(events)
	for range 2 {
		empty(t, db)
		sizes := rapid.SliceOfN(rapid.SampledFrom([]int{1, 2, 5, 100}), 1, 4).Draw(t, "batch sizes")
		shares := make([][]happening, len(stores))
		for i, e := range delivered(t, events) {
			shares[i%len(stores)] = append(shares[i%len(stores)], e)
		}
		var group errgroup.Group
		for i, s := range stores {
			group.Go(func() error { return apply(context.Background(), s, shares[i], sizes) })
		}
		require.NoError(t, group.Wait())
		require.Equal(t, want, dump(t, db))
		requireCounted(t, db)
	}
}

// Two workers on one database, each with many callers at a time.
func TestConvergesUnderManyCallers(t *testing.T) {
	onEach(t, func(t *testing.T, driver string) {
		cfg := place(t, driver)
		stores := []*Store{newStore(t, openAt(t, cfg)), newStore(t, openAt(t, cfg))}
		events := rapid.SliceOfN(happenings, 150, 150).Example(1)
		var group errgroup.Group
		group.SetLimit(100)
		for i, e := range slices.Concat(events, events) {
			group.Go(func() error { return send(t.Context(), stores[i%3%2], e) })
		}
		require.NoError(t, group.Wait())
		require.Equal(t, recompute(events), dump(t, stores[0].db))
		requireCounted(t, stores[0].db)
	})
}

func TestRepetitionWritesNothing(t *testing.T) {
	onEach(t, func(t *testing.T, driver string) {
		db := openDB(t, driver)
		s := newStore(t, db)
		events := rapid.SliceOfN(happenings, 60, 60).Example(2)
		empty := written(t, db)
		require.NoError(t, applyBatch(t.Context(), s, events))
		before := written(t, db)
		require.NotEqual(t, empty, before)
		slices.Reverse(events)
		require.NoError(t, apply(t.Context(), s, events, []int{7}))
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
    SELECT ctid FROM questions UNION ALL SELECT ctid FROM answers UNION ALL SELECT ctid FROM subjects
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
