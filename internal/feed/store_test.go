package feed

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/answerfeed/answerfeed/app/database"
	"github.com/answerfeed/answerfeed/app/event"
)

// asked, put and gone are events in short.

func asked(id, subject string, second int) happening {
	return event.QuestionAdded{QuestionID: id, Title: fmt.Sprintf("title %d", second), Subject: subject, Grade: "g", OccurredAt: at(second)}
}

func put(question, id string, second int) happening {
	return event.AnswerAdded{QuestionID: question, AnswerID: id, Excerpt: fmt.Sprintf("text %d", second), OccurredAt: at(second)}
}

func gone(question, id string) happening {
	return event.AnswerRemoved{QuestionID: question, AnswerID: id, OccurredAt: at(0)}
}

func TestCases(t *testing.T) {
	var stores []*Store
	for _, driver := range drivers {
		stores = append(stores, newStore(t, openDB(t, driver)))
	}
	for _, test := range []struct {
		name   string
		events []happening
		want   []string // what summary tells
	}{
		{"nothing", nil, nil},
		{"a question", []happening{asked("q1", "math", 1)},
			[]string{`q1 "title 1" asked 1: none`, "math 1/1"}},
		{"a later version keeps the time of asking", []happening{asked("q1", "math", 1), asked("q1", "math", 5)},
			[]string{`q1 "title 5" asked 1: none`, "math 1/1"}},
		{"a later version moves to another subject", []happening{asked("q1", "math", 1), put("q1", "a1", 2), asked("q1", "art", 5), asked("q2", "math", 3)},
			[]string{`q2 "title 3" asked 3: none`, `q1 "title 5" asked 1: 1, first a1, last 2: a1 "text 2" 2`, "art 1/0", "math 1/1"}},
		{"a subject without questions goes", []happening{asked("q1", "math", 1), asked("q1", "art", 5)},
			[]string{`q1 "title 5" asked 1: none`, "art 1/1"}},
		{"an answer", []happening{asked("q1", "math", 1), put("q1", "a1", 2)},
			[]string{`q1 "title 1" asked 1: 1, first a1, last 2: a1 "text 2" 2`, "math 1/0"}},
		{"a stub is hidden", []happening{put("q1", "a1", 2)}, nil},
		{"two answers of one moment go by id", []happening{asked("q1", "math", 1), put("q1", "a2", 2), put("q1", "a10", 2)},
			[]string{`q1 "title 1" asked 1: 2, first a10, last 2: a10 "text 2" 2, a2 "text 2" 2`, "math 1/0"}},
		{"ids differ by case", []happening{asked("q1", "math", 1), put("q1", "a", 2), put("q1", "B", 2)},
			[]string{`q1 "title 1" asked 1: 2, first B, last 2: B "text 2" 2, a "text 2" 2`, "math 1/0"}},
		{"an earlier version moves the answer to the front", []happening{asked("q1", "math", 1), put("q1", "a1", 3), put("q1", "a2", 4), put("q1", "a2", 2)},
			[]string{`q1 "title 1" asked 1: 2, first a2, last 3: a2 "text 4" 2, a1 "text 3" 3`, "math 1/0"}},
		{"the first is removed", []happening{asked("q1", "math", 1), put("q1", "a1", 2), put("q1", "a2", 3), put("q1", "a3", 4), gone("q1", "a1")},
			[]string{`q1 "title 1" asked 1: 2, first a2, last 4: a2 "text 3" 3, a3 "text 4" 4`, "math 1/0"}},
		{"the last is removed", []happening{asked("q1", "math", 1), put("q1", "a1", 2), put("q1", "a2", 3), put("q1", "a3", 4), gone("q1", "a3")},
			[]string{`q1 "title 1" asked 1: 2, first a1, last 3: a1 "text 2" 2, a2 "text 3" 3`, "math 1/0"}},
		{"one of two lasts is removed", []happening{asked("q1", "math", 1), put("q1", "a1", 2), put("q1", "a2", 3), put("q1", "a3", 3), gone("q1", "a2")},
			[]string{`q1 "title 1" asked 1: 2, first a1, last 3: a1 "text 2" 2, a3 "text 3" 3`, "math 1/0"}},
		{"the only answer is removed", []happening{asked("q1", "math", 1), put("q1", "a1", 2), gone("q1", "a1")},
			[]string{`q1 "title 1" asked 1: none`, "math 1/1"}},
		{"removal is final", []happening{asked("q1", "math", 1), gone("q1", "a1"), put("q1", "a1", 9)},
			[]string{`q1 "title 1" asked 1: none`, "math 1/1"}},
		{"the same answer id under two questions is two answers",
			[]happening{asked("q1", "math", 1), asked("q2", "math", 2), put("q1", "a1", 3), put("q2", "a1", 4), gone("q2", "a1")},
			[]string{`q2 "title 2" asked 2: none`, `q1 "title 1" asked 1: 1, first a1, last 3: a1 "text 3" 3`, "math 2/1"}},
	} {
		for order, arrange := range map[string]func([]happening){"in order": func([]happening) {}, "backwards": slices.Reverse[[]happening]} {
			for _, s := range stores {
				t.Run(fmt.Sprintf("%s, %s, %s", test.name, order, s.db.Driver()), func(t *testing.T) {
					empty(t, s.db)
					events := slices.Clone(test.events)
					arrange(events)
					for _, e := range events {
						require.NoError(t, send(t.Context(), s, received(t, e)))
					}
					require.Equal(t, test.want, summary(t, s))
					requireCounted(t, s.db)
				})
			}
		}
	}
}

// summary is what readers see, in short.
func summary(t *testing.T, s *Store) (lines []string) {
	page, err := s.List(t.Context(), Filter{Limit: MaxLimit})
	require.NoError(t, err)
	for _, listed := range page.Items {
		i, answers, err := s.Question(t.Context(), listed.QuestionID)
		require.NoError(t, err)
		require.Equal(t, listed, i)
		require.Equal(t, i.AnswerCount > 0, i.Answered)
		require.Len(t, answers, i.AnswerCount)
		text := fmt.Sprintf("%s %q asked %d: ", i.QuestionID, i.Title, i.AskedAt.Second())
		if i.LastAnswerAt == nil {
			lines = append(lines, text+"none")
			continue
		}
		var each []string
		for _, a := range answers {
			each = append(each, fmt.Sprintf("%s %q %d", a.AnswerID, a.Excerpt, a.AnsweredAt.Second()))
		}
		lines = append(lines, fmt.Sprintf("%s%d, first %s, last %d: %s", text, i.AnswerCount, i.FirstAnswerID, i.LastAnswerAt.Second(), strings.Join(each, ", ")))
	}
	subjects, err := s.Subjects(t.Context())
	require.NoError(t, err)
	for _, x := range subjects {
		lines = append(lines, fmt.Sprintf("%s %d/%d", x.Subject, x.Questions, x.Unanswered))
	}
	return lines
}

func TestRemovalLeavesNoText(t *testing.T) {
	onEach(t, func(t *testing.T, driver string) {
		s := newStore(t, openDB(t, driver))
		for _, e := range []happening{put("q1", "a1", 1), gone("q1", "a1"), put("q1", "a1", 2)} {
			require.NoError(t, send(t.Context(), s, received(t, e)))
		}
		for _, row := range dump(t, s.db) {
			require.NotContains(t, row, "text")
		}
	})
}

func TestQuestionNotFound(t *testing.T) {
	onEach(t, func(t *testing.T, driver string) {
		s := newStore(t, openDB(t, driver))
		require.NoError(t, send(t.Context(), s, received(t, put("stub", "a1", 1))))
		for _, id := range []string{"stub", "never heard of", ""} {
			_, _, err := s.Question(t.Context(), id)
			require.ErrorIs(t, err, ErrNotFound)
		}
	})
}

func TestClosedStoreRefuses(t *testing.T) {
	onEach(t, func(t *testing.T, driver string) {
		s, err := New(openDB(t, driver), database.Durable)
		require.NoError(t, err)
		s.Close()
		require.ErrorIs(t, send(t.Context(), s, received(t, put("q1", "a1", 1))), database.ErrClosed)
	})
}

func TestNewNeedsTables(t *testing.T) {
	onEach(t, func(t *testing.T, driver string) {
		db, err := database.Open(t.Context(), place(t, driver))
		require.NoError(t, err)
		t.Cleanup(func() { require.NoError(t, db.Close()) })
		_, err = New(db, database.Durable)
		require.ErrorContains(t, err, "questions")
	})
}
