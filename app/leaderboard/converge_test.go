package leaderboard

import (
	"bytes"
	"cmp"
	"context"
	"path/filepath"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/sync/errgroup"
	"pgregory.net/rapid"

	"github.com/answerfeed/answerfeed/app/database"
	"github.com/answerfeed/answerfeed/app/event"
)

// Few ids, times and authors, so that events meet.
var happenings = rapid.Custom(func(t *rapid.T) happening {
	question := rapid.SampledFrom([]string{"q1", "Q1", "q\"<\u2028é"}).Draw(t, "question")
	id := rapid.SampledFrom([]string{"a1", "a2", "a10", "á\\"}).Draw(t, "answer")
	if rapid.IntRange(0, 19).Draw(t, "kind") == 19 {
		return gone(question, id)
	}
	author := rapid.SampledFrom([]string{"", "ann", "Ann", "bob"}).Draw(t, "author")
	return put(t, question, id, author, rapid.IntRange(0, 3).Draw(t, "second"), rapid.SampledFrom([]string{"", "x", "y"}).Draw(t, "event id"))
})

// recompute says what the tables must hold after events, in the words of
// dump. It knows nothing of registers and increments.
func recompute(events []happening) []string {
	versions, removals := map[key][]event.AnswerAdded{}, map[key]bool{}
	for _, e := range events {
		switch e := e.(type) {
		case event.AnswerAdded:
			k := key{e.QuestionID, e.AnswerID}
			versions[k] = append(versions[k], e)
		case event.AnswerRemoved:
			removals[key{e.QuestionID, e.AnswerID}] = true
		}
	}
	lines, authors := []string{}, map[string]int{}
	for k := range removals {
		lines = append(lines, answerLine(k.questionID, k.answerID, true, 0, nil, ""))
		delete(versions, k)
	}
	for k, all := range versions {
		latest := slices.MaxFunc(all, func(a, b event.AnswerAdded) int {
			return cmp.Or(a.OccurredAt.Compare(b.OccurredAt), bytes.Compare(a.Digest[:], b.Digest[:]))
		})
		lines = append(lines, answerLine(k.questionID, k.answerID, false, latest.OccurredAt.UnixMicro(), latest.Digest[:], latest.AuthorID))
		if latest.AuthorID != "" {
			authors[latest.AuthorID]++
		}
	}
	for author, n := range authors {
		lines = append(lines, authorLine(author, n))
	}
	slices.Sort(lines)
	return lines
}

// requireCounted checks the kept numbers against a recomputation in SQL.
func requireCounted(t require.TestingT, db *database.DB) {
	const kept = `SELECT author_id, answers FROM leaderboard_authors`
	const counted = `SELECT author_id, count(*) FROM leaderboard_answers WHERE NOT removed AND author_id <> '' GROUP BY author_id`
	for _, query := range []string{kept + ` EXCEPT ` + counted, counted + ` EXCEPT ` + kept} {
		var differences int
		require.NoError(t, db.Read().QueryRow(`SELECT count(*) FROM (`+query+`)`).Scan(&differences))
		require.Zero(t, differences)
	}
}

func TestConverges(t *testing.T) {
	for name, appliers := range map[string]int{"one applier": 1, "four appliers": 4} {
		t.Run(name, func(t *testing.T) {
			db := openDB(t)
			stores := make([]*Store, appliers)
			for i := range stores {
				stores[i] = newStore(t, db)
			}
			rapid.Check(t, func(t *rapid.T) {
				events := rapid.SliceOfN(happenings, 1, 40).Draw(t, "events")
				for range 2 {
					empty(t, db)
					again := rapid.SliceOfN(rapid.SampledFrom(events), 0, len(events)).Draw(t, "again")
					delivery := rapid.Permutation(slices.Concat(events, again)).Draw(t, "order")
					size := rapid.SampledFrom([]int{1, 2, 5, 100}).Draw(t, "batch size")
					var group errgroup.Group
					group.SetLimit(appliers)
					i := 0
					for batch := range slices.Chunk(delivery, size) {
						s := stores[i%appliers]
						i++
						group.Go(func() error { return applyBatch(context.Background(), db, s, batch) })
					}
					require.NoError(t, group.Wait())
					require.Equal(t, recompute(events), dump(t, db))
					requireCounted(t, db)
				}
			})
		})
	}
}

// Two workers on one file, each with many callers at a time.
func TestConvergesUnderManyCallers(t *testing.T) {
	path := filepath.Join(t.TempDir(), "leaderboard.db")
	dbs := []*database.DB{openFile(t, path), openFile(t, path)}
	stores := []*Store{newStore(t, dbs[0]), newStore(t, dbs[1])}
	events := rapid.SliceOfN(happenings, 150, 150).Example(1)
	var group errgroup.Group
	group.SetLimit(100)
	for i, e := range slices.Concat(events, events) {
		group.Go(func() error { return send(t.Context(), stores[i%3%2], e) })
	}
	require.NoError(t, group.Wait())
	require.Equal(t, recompute(events), dump(t, dbs[0]))
	requireCounted(t, dbs[0])
}

func TestMergeIsASemilattice(t *testing.T) {
	registers := rapid.Custom(func(t *rapid.T) answer {
		var a answer
		for _, e := range rapid.SliceOfN(happenings, 0, 4).Draw(t, "said") {
			switch e := e.(type) {
			case event.AnswerAdded:
				a = a.merge(answerAdded(e).answer)
			case event.AnswerRemoved:
				a = a.merge(answerRemoved(e).answer)
			}
		}
		return a
	})
	rapid.Check(t, func(t *rapid.T) {
		a, b, c := registers.Draw(t, "a"), registers.Draw(t, "b"), registers.Draw(t, "c")
		require.Equal(t, a.merge(b).merge(c), a.merge(b.merge(c)), "associative")
		require.Equal(t, a.merge(b), b.merge(a), "commutative")
		require.Equal(t, a, a.merge(a), "idempotent")
		require.Equal(t, a, answer{}.merge(a), "zero is the identity")
		require.Equal(t, a, a.merge(answer{}), "zero is the identity")
	})
}
