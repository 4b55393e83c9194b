// Package effect is what every peer does about an answer: one row upserted
// and the counter of its question raised, in SQLite or PostgreSQL. It is for the
// peers of the benchmark alone, so that they differ in nothing but how they
// consume.
//
// The one thing to know: an answer that takes effect twice raises the counter
// twice, so [Count] sees what was doubled.
package effect

import (
	"context"
	"database/sql"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/jackc/pgx/v5"

	"github.com/answerfeed/answerfeed/app/database"
	"github.com/answerfeed/answerfeed/app/event"
)

const (
	tables = `CREATE TABLE IF NOT EXISTS bench_answers (answer_id %text% NOT NULL PRIMARY KEY, question_id %text% NOT NULL,
			author_id %text% NOT NULL, excerpt %text% NOT NULL, answered_at BIGINT NOT NULL)%keyed%;
		CREATE TABLE IF NOT EXISTS bench_questions (question_id %text% NOT NULL PRIMARY KEY, answers INTEGER NOT NULL)%keyed%`
	upsertAnswers = `INSERT INTO bench_answers (answer_id, question_id, author_id, excerpt, answered_at) `
	onAnswer      = `ON CONFLICT (answer_id) DO UPDATE SET question_id = excluded.question_id, author_id = excluded.author_id,
		excerpt = excluded.excerpt, answered_at = excluded.answered_at`
	raiseCounters = `INSERT INTO bench_questions (question_id, answers) `
	onQuestion    = ` ON CONFLICT (question_id) DO UPDATE SET answers = bench_questions.answers + excluded.answers`
	totals        = `SELECT (SELECT count(*) FROM bench_answers), (SELECT coalesce(sum(answers), 0) FROM bench_questions)`
	since         = `SELECT answer_id FROM bench_answers WHERE answer_id >= $1 ORDER BY answer_id`

	// Workers that start at once make the tables one after the other.
	oneMaker = `SELECT pg_advisory_xact_lock(7021983)`
	// PostgreSQL takes a column of a batch as an array.
	answerArrays  = `SELECT * FROM unnest($1::text[], $2::text[], $3::text[], $4::text[], $5::bigint[]) `
	counterArrays = `SELECT * FROM unnest($1::text[], $2::integer[])`
)

// Create makes the tables, unless they are there.
func Create(ctx context.Context, db *database.DB) error {
	dialect := strings.NewReplacer("%text%", "TEXT", "%keyed%", " WITHOUT ROWID")
	if db.Driver() == database.Postgres {
		dialect = strings.NewReplacer("%text%", `TEXT COLLATE "C"`, "%keyed%", "")
	}
	err := db.Update(ctx, database.Durable, func(ctx context.Context, tx *sql.Tx) error {
		if db.Driver() == database.Postgres {
			if _, err := tx.ExecContext(ctx, oneMaker); err != nil {
				return err
			}
		}
		_, err := tx.ExecContext(ctx, dialect.Replace(tables))
		return err
	})
	if err != nil {
		return fmt.Errorf("making the effect's tables: %w", err)
	}
	return nil
}

// Table applies answers.
type Table struct {
	db         *database.DB
	statements *database.Statements
	sqlite     struct{ answers, counters database.Bulk }
	postgres   struct{ answers, counters string }
}

// New prepares the statements; the tables must be there.
func New(db *database.DB) (*Table, error) {
	t := &Table{db: db, statements: db.ToWrite()}
	if db.Driver() == database.Postgres {
		t.postgres.answers = upsertAnswers + answerArrays + onAnswer
		t.postgres.counters = raiseCounters + counterArrays + onQuestion
	} else {
		t.sqlite.answers = t.statements.Bulk(upsertAnswers, 5, onAnswer)
		t.sqlite.counters = t.statements.Bulk(raiseCounters, 2, onQuestion)
	}
	return t, t.statements.Err()
}

// Close gives the statements back.
func (t *Table) Close() { t.statements.Close() }

// Commit applies the answers in a transaction of their own, on the disk when
// it returns: what is acknowledged to a broker must be. On PostgreSQL that is
// one round trip.
func (t *Table) Commit(ctx context.Context, answers ...event.AnswerAdded) error {
	last, questions, counts := sorted(answers)
	if t.db.Driver() == database.Postgres {
		return t.db.Together(ctx, database.Durable, func() {}, t.batch(last, questions, counts))
	}
	return t.db.Update(ctx, database.Durable, func(ctx context.Context, tx *sql.Tx) error {
		return t.applySQLite(ctx, tx, last, questions, counts)
	})
}

// sorted is what is written: in the order of its ids, so that processes that do
// it at once wait for each other one way, and each key once.
func sorted(answers []event.AnswerAdded) (last []event.AnswerAdded, questions []string, counts map[string]int) {
	all := slices.Clone(answers)
	slices.SortStableFunc(all, func(a, b event.AnswerAdded) int { return strings.Compare(a.AnswerID, b.AnswerID) })
	counts = make(map[string]int, len(all))
	last = all[:0]
	for _, a := range all {
		counts[a.QuestionID]++
		if n := len(last); n > 0 && last[n-1].AnswerID == a.AnswerID {
			last[n-1] = a
		} else {
			last = append(last, a)
		}
	}
	return last, slices.Sorted(maps.Keys(counts)), counts
}

func (t *Table) applySQLite(ctx context.Context, tx *sql.Tx, answers []event.AnswerAdded, questions []string, counts map[string]int) error {
	rows := make([]any, 0, 5*len(answers))
	for _, a := range answers {
		rows = append(rows, a.AnswerID, a.QuestionID, a.AuthorID, a.Excerpt, a.OccurredAt.UnixMicro())
	}
	if err := t.sqlite.answers.Exec(ctx, tx, rows); err != nil {
		return fmt.Errorf("writing answers: %w", err)
	}
	counters := make([]any, 0, 2*len(questions))
	for _, id := range questions {
		counters = append(counters, id, counts[id])
	}
	if err := t.sqlite.counters.Exec(ctx, tx, counters); err != nil {
		return fmt.Errorf("raising counters: %w", err)
	}
	return nil
}

func (t *Table) batch(answers []event.AnswerAdded, questions []string, counts map[string]int) *pgx.Batch {
	var columns [4][]string
	at := make([]int64, 0, len(answers))
	for i := range columns {
		columns[i] = make([]string, 0, len(answers))
	}
	for _, a := range answers {
		for i, v := range [...]string{a.AnswerID, a.QuestionID, a.AuthorID, a.Excerpt} {
			columns[i] = append(columns[i], v)
		}
		at = append(at, a.OccurredAt.UnixMicro())
	}
	raise := make([]int32, 0, len(questions))
	for _, id := range questions {
		raise = append(raise, int32(counts[id])) //nolint:gosec // of one batch
	}
	b := &pgx.Batch{}
	b.Queue(t.postgres.answers, columns[0], columns[1], columns[2], columns[3], at)
	b.Queue(t.postgres.counters, questions, raise)
	return b
}

// CommitAll is Commit for a [database.Batcher].
func (t *Table) CommitAll(ctx context.Context, answers []event.AnswerAdded) (refused bool, err error) {
	err = t.Commit(ctx, answers...)
	return err != nil, err
}

// Count is how many answers took effect. It is an error if one did so twice.
func Count(ctx context.Context, db *database.DB) (n int, err error) {
	var counted int
	if err := db.Read().QueryRowContext(ctx, totals).Scan(&n, &counted); err != nil {
		return 0, fmt.Errorf("counting effects: %w", err)
	}
	if counted != n {
		return 0, fmt.Errorf("%d answers have a row and the counters say %d", n, counted)
	}
	return n, nil
}

// Since lists the answers that can be seen, from an id on, in order.
func Since(ctx context.Context, db *database.DB, id string) (ids []string, err error) {
	rows, err := db.Read().QueryContext(ctx, db.SQL(since), id)
	if err != nil {
		return nil, fmt.Errorf("looking for answers: %w", err)
	}
	defer rows.Close()
	for rows.Next() {
		var seen string
		if err := rows.Scan(&seen); err != nil {
			return nil, fmt.Errorf("looking for answers: %w", err)
		}
		ids = append(ids, seen)
	}
	return ids, rows.Err()
}
