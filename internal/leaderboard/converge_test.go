package leaderboard

import (
	"bytes"
	"cmp"
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/sync/errgroup"
	"pgregory.net/rapid"

	"github.com/answerfeed/answerfeed/app/database"
	"github.com/answerfeed/answerfeed/app/event"
	"github.com/answerfeed/answerfeed/internal/testkit"
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
		require.NoError(t, db.Read().QueryRow(`SELECT count(*) FROM (`+query+`) AS differences`).Scan(&differences))
		require.Zero(t, differences)
	}
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
				rapid.Check(t, func(t *rapid.T) { converges(t, db, stores) })
			})
		}
	})
}

// converges has the stores take the same events in twice, in other orders.
func converges(t *rapid.T, db *database.DB, stores []*Store) {
	events := rapid.SliceOfN(happenings, 1, 40).Draw(t, "events")
	for range 2 {
		empty(t, db)
		again := rapid.SliceOfN(rapid.SampledFrom(events), 0, len(events)).Draw(t, "again")
		delivery := rapid.Permutation(slices.Concat(events, again)).Draw(t, "order")
		size := rapid.SampledFrom([]int{1, 2, 5, 100}).Draw(t, "batch size")
		var group errgroup.Group
		group.SetLimit(len(stores))
		i := 0
		for batch := range slices.Chunk(delivery, size) {
			s := stores[i%len(stores)]
			i++
			group.Go(func() error { return applyBatch(context.Background(), db, s, batch) })
		}
		require.NoError(t, group.Wait())
		require.Equal(t, recompute(events), dump(t, db))
		requireCounted(t, db)
	}
}

// Two workers on one database, each with many callers at a time.
func TestConvergesUnderManyCallers(t *testing.T) {
	onEach(t, func(t *testing.T, driver string) {
		cfg := place(t, driver)
		dbs := []*database.DB{openAt(t, cfg), openAt(t, cfg)}
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
	})
}

// The same events make the same rows and the same list, texts in the order of
// their bytes.
func TestDatabasesAgree(t *testing.T) {
	authors := []string{"\"", "A1", "B2", "Z", "_", "a1", "ab", "b", "z", "Ä", "Ö", "ß", "ä", "é", "Ω", "日本", "\uffee", "👍", "😀"}
	require.True(t, slices.IsSorted(authors))
	events := rapid.SliceOfN(happenings, 200, 200).Example(3)
	for i, author := range authors {
		events = append(events, put(t, author, "a", author, i, ""), put(t, "q", author, author, i, ""), put(t, "q1", "a1", author, 1, ""))
	}
	var dumps [][]string
	var tops [][]Author
	for i, driver := range drivers {
		db := openDB(t, driver)
		s := newStore(t, db)
		rand.New(rand.NewPCG(1, uint64(i))).Shuffle(len(events), func(i, j int) { events[i], events[j] = events[j], events[i] })
		for batch := range slices.Chunk(events, 50) {
			require.NoError(t, applyBatch(t.Context(), db, s, batch))
		}
		top, err := s.Top(t.Context(), MaxLimit)
		require.NoError(t, err)
		dumps, tops = append(dumps, dump(t, db)), append(tops, top)
	}
	require.Equal(t, recompute(events), dumps[0])
	require.Equal(t, dumps[0], dumps[1])
	require.Equal(t, tops[0], tops[1])
}

// Many workers whose batches overlap: no deadlock, and no update is lost. The
// batches are applied without the second chance that a Batcher gives each
// event.
func TestManyWorkers(t *testing.T) {
	onEach(t, func(t *testing.T, driver string) {
		for _, workers := range []int{4, 8} {
			t.Run(fmt.Sprint(workers), func(t *testing.T) {
				cfg := place(t, driver)
				random := rand.New(rand.NewPCG(7, uint64(workers)))
				var events []happening
				for i := range 6000 / testkit.Share {
					question, id := fmt.Sprint("q", random.IntN(50)), fmt.Sprint("a", random.IntN(40))
					if random.IntN(20) == 0 {
						events = append(events, gone(question, id))
					} else {
						events = append(events, put(t, question, id, fmt.Sprint("u", random.IntN(9)), random.IntN(60), fmt.Sprint(i)))
					}
				}
				var group errgroup.Group
				var dbs []*database.DB
				for range workers {
					db := openAt(t, cfg)
					dbs = append(dbs, db)
					s := newStore(t, db)
					own := slices.Clone(events)
					random.Shuffle(len(own), func(i, j int) { own[i], own[j] = own[j], own[i] })
					size := 1 + random.IntN(300)
					group.Go(func() error {
						for batch := range slices.Chunk(own, size) {
							if err := applyBatch(context.Background(), db, s, batch); err != nil {
								return err
							}
						}
						return nil
					})
				}
				require.NoError(t, group.Wait())
				require.Equal(t, recompute(events), dump(t, dbs[0]))
				requireCounted(t, dbs[0])
			})
		}
	})
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
