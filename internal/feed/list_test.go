package feed

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/answerfeed/answerfeed/app/database"
	"github.com/answerfeed/answerfeed/app/event"
)

// stocked is a Store with questions of every kind, four at each second, and
// some stubs. It returns what a reader may see, newest first.
func stocked(t *testing.T, driver string, n int) (*Store, []Item) {
	s := newStore(t, openDB(t, driver))
	var events []happening
	var want []Item
	for i := range n {
		id, subject, grade := fmt.Sprintf("q%03d", i), fmt.Sprintf("s%d", i%3), fmt.Sprintf("g%d", i%5)
		item := Item{QuestionID: id, Title: "title", Subject: subject, Grade: grade, AskedAt: at(i / 4)}
		events = append(events, received(t, event.QuestionAdded{QuestionID: id, Title: "title", Subject: subject, Grade: grade, OccurredAt: at(i / 4)}),
			received(t, put(fmt.Sprintf("stub%d", i), "a", 1)))
		if i%2 == 0 {
			events = append(events, received(t, put(id, "a", 1)))
			when := at(1)
			item.Answered, item.AnswerCount, item.FirstAnswerID, item.LastAnswerAt = true, 1, "a", &when
		}
		want = append(want, item)
	}
	require.NoError(t, applyBatch(t.Context(), s, events))
	slices.Reverse(want)
	return s, want
}

func TestListFiltersAndPages(t *testing.T) {
	onEach(t, func(t *testing.T, driver string) {
		s, all := stocked(t, driver, 61)
		for _, sh := range shapes() {
			for _, answered := range []bool{true, false} {
				for _, limit := range []int{1, 7, 100} {
					f := Filter{Limit: limit}
					if sh.subject {
						f.Subject = "s1"
					}
					if sh.grade {
						f.Grade = "g2"
					}
					if sh.answered {
						f.Answered = &answered
					}
					want := slices.DeleteFunc(slices.Clone(all), func(i Item) bool {
						return sh.subject && i.Subject != "s1" || sh.grade && i.Grade != "g2" || sh.answered && i.Answered != answered
					})
					t.Run(fmt.Sprintf("%+v of %v by %d", sh, answered, limit), func(t *testing.T) {
						require.Equal(t, want, leafThrough(t, s, f))
					})
				}
			}
		}
	})
}

// leafThrough reads all pages.
func leafThrough(t *testing.T, s *Store, f Filter) (items []Item) {
	for {
		page, err := s.List(t.Context(), f)
		require.NoError(t, err)
		items = append(items, page.Items...)
		if page.NextCursor == "" {
			return items
		}
		require.Len(t, page.Items, f.Limit)
		f.Cursor = page.NextCursor
	}
}

func TestListOfNothing(t *testing.T) {
	onEach(t, func(t *testing.T, driver string) {
		s, _ := stocked(t, driver, 4)
		page, err := s.List(t.Context(), Filter{Subject: "no such", Limit: 5})
		require.NoError(t, err)
		text, err := json.Marshal(page)
		require.NoError(t, err)
		require.JSONEq(t, `{"items":[]}`, string(text))
	})
}

func TestPagesHoldWhileQuestionsArrive(t *testing.T) {
	onEach(t, func(t *testing.T, driver string) {
		s, all := stocked(t, driver, 8)
		first, err := s.List(t.Context(), Filter{Limit: 4})
		require.NoError(t, err)
		require.NoError(t, send(t.Context(), s, received(t, asked("new", "s0", 59))))
		second, err := s.List(t.Context(), Filter{Limit: 4, Cursor: first.NextCursor})
		require.NoError(t, err)
		require.Equal(t, all, slices.Concat(first.Items, second.Items))
	})
}

func TestListRefuses(t *testing.T) {
	s, _ := stocked(t, database.SQLite, 1)
	encode := func(b string) string { return base64.RawURLEncoding.EncodeToString([]byte(b)) }
	good := position{askedAt: 5, id: "q1"}.text()
	for name, cursor := range map[string]string{
		"not base64":        "!",
		"padded":            good + "=",
		"with a line end":   good + "\n",
		"with spare bits":   good[:len(good)-1] + "z",
		"cut":               good[:len(good)-3],
		"without an id":     encode("\x0112345678"),
		"of an old version": encode("\x0012345678q1"),
		"too long":          encode("\x0112345678" + strings.Repeat("q", 129)),
		"id not UTF-8":      encode("\x0112345678\xff"),
	} {
		t.Run(name, func(t *testing.T) {
			_, err := s.List(t.Context(), Filter{Limit: 1, Cursor: cursor})
			require.ErrorIs(t, err, ErrBadCursor)
		})
	}
	for _, limit := range []int{-1, 0, 101} {
		_, err := s.List(t.Context(), Filter{Limit: limit})
		require.ErrorContains(t, err, "limit")
		require.NotErrorIs(t, err, ErrBadCursor)
	}
}

func FuzzCursor(f *testing.F) {
	for _, seed := range []string{"", "!", "AQ", newest().text(), "AQ\nAQ", position{1, "q1"}.text(), position{-1, "q\"é"}.text()} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, cursor string) {
		p, err := parsePosition(cursor)
		if err != nil {
			require.ErrorIs(t, err, ErrBadCursor)
			return
		}
		require.Equal(t, cursor, p.text(), "one position has one cursor")
	})
}

func TestItemOnTheWire(t *testing.T) {
	when := time.Date(2024, 5, 1, 12, 0, 1, 5000, time.UTC)
	text, err := json.Marshal(Item{QuestionID: "q", AskedAt: when, LastAnswerAt: &when})
	require.NoError(t, err)
	require.Equal(t, `{"question_id":"q","title":"","excerpt":"","subject":"","grade":"","author_id":"","asked_at":"2024-05-01T12:00:01.000005Z",`+
		`"answered":false,"answer_count":0,"first_answer_id":"","last_answer_at":"2024-05-01T12:00:01.000005Z"}`, string(text))
}

func TestGrades(t *testing.T) {
	onEach(t, func(t *testing.T, driver string) {
		s, _ := stocked(t, driver, 20)
		grades, err := s.Grades(t.Context())
		require.NoError(t, err)
		require.Equal(t, []string{"g0", "g1", "g2", "g3", "g4"}, grades, "none of a stub")
		empty(t, s.db)
		grades, err = s.Grades(t.Context())
		require.NoError(t, err)
		require.Equal(t, []string{}, grades)
	})
}

func TestSubjectsOrder(t *testing.T) {
	onEach(t, func(t *testing.T, driver string) {
		s := newStore(t, openDB(t, driver))
		for i, subject := range []string{"b", "B", "c", "c"} {
			require.NoError(t, send(t.Context(), s, received(t, asked(fmt.Sprintf("q%d", i), subject, i))))
		}
		subjects, err := s.Subjects(t.Context())
		require.NoError(t, err)
		require.Equal(t, []Subject{{"c", 2, 2}, {"B", 1, 1}, {"b", 1, 1}}, subjects)
	})
}
