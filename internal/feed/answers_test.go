package feed

import (
	"fmt"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/answerfeed/answerfeed/app/event"
)

func TestAnswersPageInBothOrders(t *testing.T) {
	onEach(t, func(t *testing.T, driver string) {
		s := newStore(t, openDB(t, driver))
		events := []happening{received(t, event.QuestionAdded{QuestionID: "q", Title: "t", Subject: "s", Grade: "g", OccurredAt: at(0)})}
		var want []string
		add := func(n int) happening { // three of each second
			return received(t, event.AnswerAdded{AnswerID: fmt.Sprintf("a%03d", n), QuestionID: "q", OccurredAt: at(10 + n/3)})
		}
		for n := range 25 {
			want = append(want, fmt.Sprintf("a%03d", n))
			events = append(events, add(n))
		}
		events = append(events, received(t, event.AnswerAdded{AnswerID: "other", QuestionID: "r", OccurredAt: at(11)}))
		require.NoError(t, applyBatch(t.Context(), s, events))

		walk := func(f AnswerFilter, between func()) (ids []string) {
			for {
				item, page, err := s.Answers(t.Context(), "q", f)
				require.NoError(t, err)
				require.Equal(t, "q", item.QuestionID)
				require.Equal(t, len(ids)+1, page.First)
				require.Equal(t, f.Newest || f.Cursor != "" && page.Newest, page.Newest)
				for _, a := range page.Answers {
					ids = append(ids, a.AnswerID)
				}
				if page.NextCursor == "" {
					return ids
				}
				require.Len(t, page.Answers, f.Limit)
				f = AnswerFilter{Limit: f.Limit, Cursor: page.NextCursor} // the cursor has the order
				between()
			}
		}
		nothing := func() {}
		backward := slices.Clone(want)
		slices.Reverse(backward)
		for _, limit := range []int{1, 3, 7, 24, 25, 26, MaxAnswers} {
			require.Equal(t, want, walk(AnswerFilter{Limit: limit}, nothing))
			require.Equal(t, backward, walk(AnswerFilter{Limit: limit, Newest: true}, nothing))
		}
		arriving := 25
		require.Equal(t, backward, walk(AnswerFilter{Limit: 4, Newest: true}, func() {
			require.NoError(t, send(t.Context(), s, add(arriving)))
			arriving++
		}), "what arrives neither repeats nor hides any")

		_, _, err := s.Answers(t.Context(), "none", AnswerFilter{Limit: 1})
		require.ErrorIs(t, err, ErrNotFound)
		for _, limit := range []int{0, MaxAnswers + 1} {
			_, _, err := s.Answers(t.Context(), "q", AnswerFilter{Limit: limit})
			require.ErrorContains(t, err, "is not from 1 to 1000")
		}
		for _, cursor := range []string{"x", "AQ", position{1, "q"}.text(), answerPosition{false, 1, 1, "a"}.text() + "\n", answerPosition{false, -1, 1, "a"}.text(), answerPosition{false, 1, 1, ""}.text()} {
			_, _, err := s.Answers(t.Context(), "q", AnswerFilter{Limit: 1, Cursor: cursor})
			require.ErrorIs(t, err, ErrBadCursor, cursor)
		}
		_, err = s.List(t.Context(), Filter{Limit: 1, Cursor: answerPosition{false, 1, 1, "a"}.text()})
		require.ErrorIs(t, err, ErrBadCursor)
	})
}
