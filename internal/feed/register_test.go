package feed

import (
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/answerfeed/answerfeed/app/event"
)

// What a register can be is what events and merges make of it.
var (
	answers = rapid.Custom(func(t *rapid.T) answer {
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
	questions = rapid.Custom(func(t *rapid.T) question {
		var q question
		for _, e := range rapid.SliceOfN(happenings, 0, 8).Draw(t, "said") {
			if e, ok := e.(event.QuestionAdded); ok {
				q = q.merge(questionAdded(e).question)
			}
		}
		return q
	})
)

func TestMergeIsASemilattice(t *testing.T) {
	t.Run("answers", rapid.MakeCheck(func(t *rapid.T) {
		requireSemilattice(t, answers, answer.merge)
	}))
	t.Run("questions", rapid.MakeCheck(func(t *rapid.T) {
		requireSemilattice(t, questions, question.merge)
	}))
}

func requireSemilattice[R any](t *rapid.T, registers *rapid.Generator[R], merge func(R, R) R) {
	var zero R
	a, b, c := registers.Draw(t, "a"), registers.Draw(t, "b"), registers.Draw(t, "c")
	require.Equal(t, merge(merge(a, b), c), merge(a, merge(b, c)), "associative")
	require.Equal(t, merge(a, b), merge(b, a), "commutative")
	require.Equal(t, a, merge(a, a), "idempotent")
	require.Equal(t, a, merge(zero, a), "zero is the identity")
	require.Equal(t, a, merge(a, zero), "zero is the identity")
}
