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
func stock(b testing.TB, db *database.DB, n int) {
	b.Helper()
	numbers := `(WITH RECURSIVE n (i) AS (SELECT 0 UNION ALL SELECT i + 1 FROM n WHERE i + 1 < $1) SELECT i FROM n) n`
	digest := `randomblob(32)`
	if db.Driver() == database.Postgres {
		numbers = `generate_series(0, $1::bigint - 1) n (i)`
		digest = `decode(md5(random()::text) || md5(random()::text), 'hex')`
	}
	for _, query := range []string{`
INSERT INTO questions (question_id, asked_at, version_at, version_digest, subject, grade, title, excerpt,
    answered, answer_count, first_answered_at, first_answer_id, last_answer_at)
SELECT 'q' || i, 1700000000000000 + i * 1000000, 1700000000000000 + i * 1000000, ` + digest + `, 's' || (i % 5), 'g' || (i % 3),
    'A question of common length about number ' || i, substr($2, 1, CAST(100 + i % 200 AS INTEGER)),
    i % 2 = 1, i % 2, CASE WHEN i % 2 = 1 THEN 1700000000000000 END, CASE WHEN i % 2 = 1 THEN 'a' || i ELSE '' END,
    CASE WHEN i % 2 = 1 THEN 1700000000000000 END FROM ` + numbers, `
INSERT INTO answers (question_id, answer_id, removed, answered_at, version_at, version_digest)
SELECT question_id, first_answer_id, FALSE, first_answered_at, first_answered_at, ` + digest + ` FROM questions WHERE answered`, `
INSERT INTO subjects (subject, questions, unanswered)
SELECT subject, count(*), count(*) FILTER (WHERE NOT answered) FROM questions GROUP BY subject`, `
ANALYZE`,
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

// stockedStores is so many Stores, each with a DB of its own, on a database of
// n questions.
func stockedStores(b *testing.B, driver string, stores, n int) (all []*Store) {
	b.Helper()
	cfg := place(b, driver)
	cfg.StatementTimeout = 10 * time.Minute
	for range stores {
		all = append(all, newStore(b, openAt(b, cfg)))
	}
	stock(b, all[0].db, n)
	return all
}

// BenchmarkFeedApply takes events in from many callers.
func BenchmarkFeedApply(b *testing.B) {
	const known = 50_000
	for _, driver := range drivers {
		for _, stores := range []int{1, 2} {
			b.Run(fmt.Sprintf("%s/answers, %d stores", driver, stores), func(b *testing.B) {
				s := stockedStores(b, driver, stores, known)
				concurrently(b, func(ctx context.Context, i int64) error {
					return s[i%int64(stores)].AnswerAdded(ctx, answerNumber(i, known))
				})
			})
		}
		b.Run(driver+"/answers again", func(b *testing.B) {
			s := stockedStores(b, driver, 1, known)[0]
			concurrently(b, func(ctx context.Context, i int64) error { return s.AnswerAdded(ctx, answerNumber(i%1000, known)) })
		})
		b.Run(driver+"/questions", func(b *testing.B) {
			s := stockedStores(b, driver, 1, known)[0]
			concurrently(b, func(ctx context.Context, i int64) error {
				return s.QuestionAdded(ctx, event.QuestionAdded{
					QuestionID: fmt.Sprintf("n%d", i), Title: longText[:60], Excerpt: longText[:200], Subject: fmt.Sprintf("s%d", i%50),
					Grade: fmt.Sprintf("g%d", i%7), OccurredAt: time.UnixMicro(1750000000000000 + i), Digest: digestOf(i),
				})
			})
		})
	}
}

// BenchmarkFeedFirstPage shows that a page costs the same at any size. Set
// WORKER_TEST_QUESTIONS=1000000 for the large one.
func BenchmarkFeedFirstPage(b *testing.B) {
	large := 50_000
	if n, err := strconv.Atoi(os.Getenv("WORKER_TEST_QUESTIONS")); err == nil {
		large = n
	}
	unanswered := false
	for _, driver := range drivers {
		for _, n := range []int{1000, large} {
			s := stockedStores(b, driver, 1, n)[0]
			for _, page := range []struct {
				name string
				f    Filter
			}{
				{"all", Filter{}},
				{"subject", Filter{Subject: "s4"}},
				{"grade", Filter{Grade: "g2"}},
				{"subject, grade", Filter{Subject: "s4", Grade: "g2"}},
				{"unanswered", Filter{Answered: &unanswered}},
				{"subject, unanswered", Filter{Subject: "s4", Answered: &unanswered}},
				{"grade, unanswered", Filter{Grade: "g2", Answered: &unanswered}},
				{"subject, grade, unanswered", Filter{Subject: "s4", Grade: "g2", Answered: &unanswered}},
				{"from the middle", Filter{Cursor: position{1700000000000000 + int64(n/2)*1000000, "q"}.text()}},
			} {
				page.f.Limit = 20
				b.Run(fmt.Sprintf("%s/%s of %d", driver, page.name, n), func(b *testing.B) {
					for b.Loop() {
						got, err := s.List(b.Context(), page.f)
						require.NoError(b, err)
						require.Len(b, got.Items, 20)
					}
				})
			}
			b.Run(fmt.Sprintf("%s/grades of %d", driver, n), func(b *testing.B) {
				for b.Loop() {
					if _, err := s.Grades(b.Context()); err != nil {
						b.Fatal(err)
					}
				}
			})
		}
	}
}
