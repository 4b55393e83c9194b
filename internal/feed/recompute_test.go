package feed

import (
	"bytes"
	"cmp"
	"context"
	"database/sql"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/answerfeed/answerfeed/app/database"
	"github.com/answerfeed/answerfeed/app/event"
)

// recompute says what the tables must hold after events, in the words of
// dump. It knows nothing of registers and increments: it goes through all
// events again for each question, answer and subject.
func recompute(events []happening) []string {
	lines := []string{}
	type subject struct{ questions, unanswered int64 }
	subjects := map[string]subject{}
	for _, id := range distinct(events, questionOf) {
		own := those(events, func(e happening) bool { return questionOf(e) == id })
		var firstAt, lastAt any
		firstID, count := "", int64(0)
		for _, answerID := range distinct(own, answerOf) {
			text, answeredAt := recomputeAnswer(id, answerID, own)
			lines = append(lines, text)
			if answeredAt == nil {
				continue
			}
			count++
			if firstAt == nil || answeredAt.(int64) < firstAt.(int64) || answeredAt == firstAt && answerID < firstID {
				firstAt, firstID = answeredAt, answerID
			}
			if lastAt == nil || answeredAt.(int64) > lastAt.(int64) {
				lastAt = answeredAt
			}
		}
		var askedAt, versionAt, digest any
		var latest event.QuestionAdded
		if versions := sorted(own, func(e event.QuestionAdded) (int64, event.Digest) { return e.OccurredAt.UnixMicro(), e.Digest }); len(versions) > 0 {
			latest = versions[len(versions)-1]
			askedAt, versionAt, digest = versions[0].OccurredAt.UnixMicro(), latest.OccurredAt.UnixMicro(), latest.Digest[:]
			s := subjects[latest.Subject]
			s.questions++
			if count == 0 {
				s.unanswered++
			}
			subjects[latest.Subject] = s
		}
		lines = append(lines, line("questions",
			[]string{"question_id", "asked_at", "version_at", "version_digest", "subject", "grade", "author_id",
				"answered", "answer_count", "first_answered_at", "first_answer_id", "last_answer_at", "title", "excerpt"},
			[]any{id, askedAt, versionAt, digest, latest.Subject, latest.Grade, latest.AuthorID,
				count > 0, count, firstAt, firstID, lastAt, latest.Title, latest.Excerpt}))
	}
	for name, s := range subjects {
		lines = append(lines, line("subjects", []string{"subject", "questions", "unanswered"}, []any{name, s.questions, s.unanswered}))
	}
	slices.Sort(lines)
	return lines
}

// recomputeAnswer returns the answer's line, and its time unless it is removed.
func recomputeAnswer(question, id string, own []happening) (text string, answeredAt any) {
	names := []string{"question_id", "answer_id", "removed", "answered_at", "version_at", "version_digest", "author_id", "excerpt"}
	own = those(own, func(e happening) bool { return answerOf(e) == id })
	if slices.ContainsFunc(own, func(e happening) bool { _, gone := e.(event.AnswerRemoved); return gone }) {
		return line("answers", names, []any{question, id, true, nil, nil, nil, "", ""}), nil
	}
	versions := sorted(own, func(e event.AnswerAdded) (int64, event.Digest) { return e.OccurredAt.UnixMicro(), e.Digest })
	first, latest := versions[0], versions[len(versions)-1]
	return line("answers", names, []any{question, id, false, first.OccurredAt.UnixMicro(), latest.OccurredAt.UnixMicro(), latest.Digest[:],
		latest.AuthorID, latest.Excerpt}), first.OccurredAt.UnixMicro()
}

func questionOf(e happening) string {
	switch e := e.(type) {
	case event.QuestionAdded:
		return e.QuestionID
	case event.AnswerAdded:
		return e.QuestionID
	case event.AnswerRemoved:
		return e.QuestionID
	}
	return ""
}

func answerOf(e happening) string {
	switch e := e.(type) {
	case event.AnswerAdded:
		return e.AnswerID
	case event.AnswerRemoved:
		return e.AnswerID
	}
	return ""
}

func distinct(events []happening, of func(happening) string) []string {
	var all []string
	for _, e := range events {
		if id := of(e); id != "" && !slices.Contains(all, id) {
			all = append(all, id)
		}
	}
	return all
}

func those(events []happening, which func(happening) bool) []happening {
	return slices.DeleteFunc(slices.Clone(events), func(e happening) bool { return !which(e) })
}

// sorted returns the events of one type, by time and then digest.
func sorted[E any](events []happening, by func(E) (int64, event.Digest)) []E {
	var all []E
	for _, e := range events {
		if e, ok := e.(E); ok {
			all = append(all, e)
		}
	}
	slices.SortFunc(all, func(a, b E) int {
		aAt, aDigest := by(a)
		bAt, bDigest := by(b)
		return cmp.Or(cmp.Compare(aAt, bAt), bytes.Compare(aDigest[:], bDigest[:]))
	})
	return all
}

// requireCounted checks the kept numbers against a recomputation in SQL.
func requireCounted(t require.TestingT, db *database.DB) {
	for name, query := range map[string]string{
		"tallies": `
SELECT q.question_id FROM questions q
LEFT JOIN (
    SELECT question_id, count(*) AS n, min(answered_at) AS first, max(answered_at) AS last FROM answers WHERE NOT removed GROUP BY question_id
) a ON a.question_id = q.question_id
WHERE q.answer_count <> coalesce(a.n, 0) OR q.answered <> (coalesce(a.n, 0) > 0)
   OR q.first_answered_at IS DISTINCT FROM a.first OR q.last_answer_at IS DISTINCT FROM a.last
   OR q.first_answer_id <> coalesce((SELECT min(answer_id) FROM answers f
        WHERE f.question_id = q.question_id AND NOT f.removed AND f.answered_at = a.first), '')`,
		"questions without a row": `SELECT question_id FROM answers WHERE question_id NOT IN (SELECT question_id FROM questions)`,
		"subjects too many": `
SELECT subject, questions, unanswered FROM subjects EXCEPT
SELECT subject, count(*), count(*) FILTER (WHERE NOT answered) FROM questions WHERE asked_at IS NOT NULL GROUP BY subject`,
		"subjects missing": `
SELECT subject, count(*), count(*) FILTER (WHERE NOT answered) FROM questions WHERE asked_at IS NOT NULL GROUP BY subject EXCEPT
SELECT subject, questions, unanswered FROM subjects`,
	} {
		rows, err := db.Read().Query(query)
		require.NoError(t, err, name)
		require.False(t, rows.Next(), "%s: counters differ from a recomputation", name)
		require.NoError(t, rows.Close())
	}
}

func TestRecomputationInSQLSeesAWrongCounter(t *testing.T) {
	onEach(t, func(t *testing.T, driver string) {
		db := openDB(t, driver)
		s := newStore(t, db)
		require.NoError(t, send(t.Context(), s, received(t, event.AnswerAdded{QuestionID: "q1", AnswerID: "a1", OccurredAt: at(1)})))
		requireCounted(t, db)
		require.NoError(t, db.Update(t.Context(), database.Relaxed, func(ctx context.Context, tx *sql.Tx) error {
			_, err := tx.ExecContext(ctx, `UPDATE questions SET answer_count = 2`)
			return err
		}))
		require.Panics(t, func() { requireCounted(refusing{}, db) })
	})
}

// refusing is a test that fails by a panic.
type refusing struct{}

func (refusing) Errorf(string, ...any) {}
func (refusing) FailNow()              { panic("failed") }
