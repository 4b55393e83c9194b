package feed

import (
	"context"
	"crypto/sha256"
	"database/sql"
	"fmt"
	"os"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/answerfeed/answerfeed/app/database"
	"github.com/answerfeed/answerfeed/app/event"
)

// callers is how many call the Store at a time: a handler's concurrency.
const callers = 1000

// stock writes n questions by SQL, every second one answered.
func stock(b *testing.B, db *database.DB, n int) {
	b.Helper()
	for _, query := range []string{`
WITH RECURSIVE n (i) AS (SELECT 0 UNION ALL SELECT i + 1 FROM n WHERE i + 1 < $1)
INSERT INTO questions (question_id, asked_at, version_at, version_digest, subject, grade, title, excerpt,
    answered, answer_count, first_answered_at, first_answer_id, last_answer_at)
SELECT 'q' || i, 1700000000000000 + i * 1000000, 1700000000000000 + i * 1000000, randomblob(32), 's' || (i % 5), 'g' || (i % 3),
    'A question of common length about number ' || i, substr($2, 1, 100 + i % 200),
    i % 2, i % 2, iif(i % 2, 1700000000000000, NULL), iif(i % 2, 'a' || i, ''), iif(i % 2, 1700000000000000, NULL) FROM n`, `
INSERT INTO answers (question_id, answer_id, removed, answered_at, version_at, version_digest)
SELECT question_id, first_answer_id, FALSE, first_answered_at, first_answered_at, randomblob(32) FROM questions WHERE answered`, `
INSERT INTO subjects (subject, questions, unanswered)
SELECT subject, count(*), sum(NOT answered) FROM questions GROUP BY subject`,
	} {
		values := []any{n, longText}[:strings.Count(query, "$")]
		require.NoError(b, db.Update(b.Context(), database.Relaxed, func(ctx context.Context, tx *sql.Tx) error {
			_, err := tx.ExecContext(ctx, db.SQL(query), values...)
			return err
		}))
	}
}

var longText = strings.Repeat("as long as excerpts are ", 13)

func digestOf(i int64) event.Digest { return sha256.Sum256(strconv.AppendInt(nil, i, 10)) }

// answerNumber is a new answer to one of the last of n questions: to half of
// them the first.
func answerNumber(i int64, n int) event.AnswerAdded {
	return event.AnswerAdded{
		QuestionID: fmt.Sprintf("q%d", i*7919%int64(n)), AnswerID: fmt.Sprintf("b%d", i), AuthorID: fmt.Sprintf("u%d", i%1000),
		Excerpt: longText[:200], OccurredAt: time.UnixMicro(1750000000000000 + i), Digest: digestOf(i),
	}
}

// concurrently calls do with 0, 1, 2 … b.N-1 from so many callers, and
// reports how often a second it could.
func concurrently(b *testing.B, do func(ctx context.Context, i int64) error) {
	b.Helper()
	var next atomic.Int64
	b.SetParallelism(callers / 2)
	b.ReportAllocs()
	b.ResetTimer()
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			if err := do(context.Background(), next.Add(1)-1); err != nil {
				b.Error(err)
			}
		}
	})
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "events/s")
}

// BenchmarkFeedApply takes events in from many callers.
func BenchmarkFeedApply(b *testing.B) {
	const known = 20_000
	b.Run("answers", func(b *testing.B) {
		s := newStore(b, openDB(b))
		stock(b, s.db, known)
		concurrently(b, func(ctx context.Context, i int64) error { return s.AnswerAdded(ctx, answerNumber(i, known)) })
	})
	b.Run("answers again", func(b *testing.B) {
		s := newStore(b, openDB(b))
		stock(b, s.db, known)
		concurrently(b, func(ctx context.Context, i int64) error { return s.AnswerAdded(ctx, answerNumber(i%1000, known)) })
	})
	b.Run("questions", func(b *testing.B) {
		s := newStore(b, openDB(b))
		stock(b, s.db, known)
		concurrently(b, func(ctx context.Context, i int64) error {
			return s.QuestionAdded(ctx, event.QuestionAdded{
				QuestionID: fmt.Sprintf("n%d", i), Title: longText[:60], Excerpt: longText[:200], Subject: fmt.Sprintf("s%d", i%50),
				Grade: fmt.Sprintf("g%d", i%7), OccurredAt: time.UnixMicro(1750000000000000 + i), Digest: digestOf(i),
			})
		})
	})
}

// BenchmarkFeedFirstPage shows that a page costs the same at any size. Set
// WORKER_TEST_QUESTIONS=1000000 for the large one.
func BenchmarkFeedFirstPage(b *testing.B) {
	large := 50_000
	if n, err := strconv.Atoi(os.Getenv("WORKER_TEST_QUESTIONS")); err == nil {
		large = n
	}
	unanswered := false
	for _, n := range []int{1000, large} {
		s := newStore(b, openDB(b))
		stock(b, s.db, n)
		for _, page := range []struct {
			name string
			f    Filter
		}{
			{"all", Filter{}},
			{"subject", Filter{Subject: "s4"}},
			{"grade", Filter{Grade: "g2"}},
			{"unanswered", Filter{Answered: &unanswered}},
			{"subject, grade, unanswered", Filter{Subject: "s4", Grade: "g2", Answered: &unanswered}},
			{"from the middle", Filter{Cursor: position{1700000000000000 + int64(n/2)*1000000, "q"}.text()}},
		} {
			page.f.Limit = 20
			b.Run(fmt.Sprintf("%s of %d", page.name, n), func(b *testing.B) {
				for b.Loop() {
					got, err := s.List(b.Context(), page.f)
					require.NoError(b, err)
					require.Len(b, got.Items, 20)
				}
			})
		}
		b.Run(fmt.Sprintf("grades of %d", n), func(b *testing.B) {
			for b.Loop() {
				if _, err := s.Grades(b.Context()); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
