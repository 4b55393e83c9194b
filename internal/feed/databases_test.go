package feed

import (
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/sync/errgroup"
	"pgregory.net/rapid"

	"github.com/answerfeed/answerfeed/app/event"
	"github.com/answerfeed/answerfeed/internal/testkit"
)

// Texts in the order of their bytes, of which a language would make another.
var bytewise = []string{"\"", "A1", "B2", "Z", "_", "a1", "ab", "b", "z", "Ä", "Ö", "ß", "ä", "é", "Ω", "日本", "\uffee", "👍", "😀"}

// The same events make the same rows, and readers are told the same.
func TestDatabasesAgree(t *testing.T) {
	require.True(t, slices.IsSorted(bytewise))
	var events []happening
	for i, text := range bytewise {
		events = append(events,
			event.QuestionAdded{QuestionID: text, Title: text, Subject: text, Grade: text, OccurredAt: at(1)},
			event.QuestionAdded{QuestionID: "q", Title: text, Subject: "s", Grade: "g", OccurredAt: at(1)},
			put("q", text, 1), put(text, "a", 1), put(text, "b", 2), gone(text, []string{"a", "b", "c"}[i%3]))
	}
	for i := range events {
		events[i] = received(t, events[i])
	}
	events = append(events, rapid.SliceOfN(happenings, 200, 200).Example(3)...)

	var stores []*Store
	for _, driver := range drivers {
		s := newStore(t, openDB(t, driver))
		rand.New(rand.NewPCG(1, uint64(len(stores)))).Shuffle(len(events), func(i, j int) { events[i], events[j] = events[j], events[i] })
		require.NoError(t, apply(t.Context(), s, events, []int{50}))
		stores = append(stores, s)
	}
	a, b := stores[0], stores[1]
	require.Equal(t, recompute(events), dump(t, a.db))
	require.Equal(t, dump(t, a.db), dump(t, b.db))
	require.Equal(t, told(t, a), told(t, b))
	item, _, err := b.Question(t.Context(), "q")
	require.NoError(t, err)
	require.Equal(t, bytewise[0], item.FirstAnswerID)
}

// told is everything that readers can learn.
func told(t *testing.T, s *Store) (all []any) {
	items := leafThrough(t, s, Filter{Limit: 7})
	for _, item := range items {
		_, answers, err := s.Question(t.Context(), item.QuestionID)
		require.NoError(t, err)
		all = append(all, item, answers)
		all = append(all, leafThrough(t, s, Filter{Subject: item.Subject, Grade: item.Grade, Answered: &item.Answered, Limit: 3}))
	}
	subjects, err := s.Subjects(t.Context())
	require.NoError(t, err)
	grades, err := s.Grades(t.Context())
	require.NoError(t, err)
	return append(all, subjects, grades)
}

// Many workers whose batches overlap: no deadlock, and no update is lost, not
// even against the insert of a question beside it. The batches are applied
// without the second chance that a Batcher gives each event.
func TestManyWorkers(t *testing.T) {
	onEach(t, func(t *testing.T, driver string) {
		for _, workers := range []int{4, 8} {
			t.Run(fmt.Sprint(workers), func(t *testing.T) {
				cfg := place(t, driver)
				var group errgroup.Group
				var stores []*Store
				for range workers {
					stores = append(stores, newStore(t, openAt(t, cfg)))
				}
				random := rand.New(rand.NewPCG(7, uint64(workers)))
				events := crowd(t, random, 6000/testkit.Share)
				for _, s := range stores {
					own := slices.Clone(events)
					random.Shuffle(len(own), func(i, j int) { own[i], own[j] = own[j], own[i] })
					group.Go(func() error { return apply(context.Background(), s, own[:len(own)*2/3], []int{300, 3, 100, 40, 1}) })
				}
				require.NoError(t, group.Wait())
				require.NoError(t, apply(t.Context(), stores[0], events, []int{batchSize}), "what no worker was given")
				require.Equal(t, recompute(events), dump(t, stores[0].db))
				requireCounted(t, stores[0].db)
			})
		}
	})
}

// crowd is events of few questions, answers and subjects: every batch meets
// every other.
func crowd(t *testing.T, random *rand.Rand, n int) []happening {
	events := make([]happening, n)
	for i := range events {
		question, when := fmt.Sprint("q", random.IntN(150)), at(random.IntN(60))
		answer := fmt.Sprint("a", random.IntN(15))
		switch kind := random.IntN(20); {
		case kind < 3:
			events[i] = event.QuestionAdded{QuestionID: question, Title: "title", Subject: fmt.Sprint("s", random.IntN(4)), Grade: "g", OccurredAt: when}
		case kind < 19:
			events[i] = event.AnswerAdded{QuestionID: question, AnswerID: answer, Excerpt: fmt.Sprint(i), OccurredAt: when}
		default:
			events[i] = event.AnswerRemoved{QuestionID: question, AnswerID: answer, OccurredAt: when}
		}
		events[i] = received(t, events[i])
	}
	return events
}
