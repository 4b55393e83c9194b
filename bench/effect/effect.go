// Package effect is what every peer does about an answer: one row upserted
// and the counter of its question raised, in SQLite. It is for the peers of
// the benchmark alone, so that they differ in nothing but how they consume.
//
// The one thing to know: an answer that takes effect twice raises the counter
// twice, so [Check] sees what was lost and what was doubled.
package effect

import (
	"context"
	"database/sql"
	"fmt"

	"github.com/answerfeed/answerfeed/app/database"
	"github.com/answerfeed/answerfeed/app/event"
)

const (
	tables = `CREATE TABLE IF NOT EXISTS bench_answers (answer_id TEXT NOT NULL PRIMARY KEY, question_id TEXT NOT NULL,
			author_id TEXT NOT NULL, excerpt TEXT NOT NULL, answered_at BIGINT NOT NULL) WITHOUT ROWID;
		CREATE TABLE IF NOT EXISTS bench_questions (question_id TEXT NOT NULL PRIMARY KEY, answers INTEGER NOT NULL) WITHOUT ROWID`
	upsertAnswers = `INSERT INTO bench_answers (answer_id, question_id, author_id, excerpt, answered_at)`
	onAnswer      = `ON CONFLICT (answer_id) DO UPDATE SET question_id = excluded.question_id, author_id = excluded.author_id,
		excerpt = excluded.excerpt, answered_at = excluded.answered_at`
	raiseCounters = `INSERT INTO bench_questions (question_id, answers)`
	onQuestion    = `ON CONFLICT (question_id) DO UPDATE SET answers = bench_questions.answers + excluded.answers`
	totals        = `SELECT (SELECT count(*) FROM bench_answers), (SELECT coalesce(sum(answers), 0) FROM bench_questions)`
	since         = `SELECT answer_id FROM bench_answers WHERE answer_id >= $1 ORDER BY answer_id`
)

// Create makes the tables, unless they are there.
func Create(ctx context.Context, db *database.DB) error {
	err := db.Update(ctx, database.Durable, func(ctx context.Context, tx *sql.Tx) error {
		_, err := tx.ExecContext(ctx, tables)
		return err
	})
	if err != nil {
		return fmt.Errorf("making the effect's tables: %w", err)
	}
	return nil
}

// Table applies answers.
type Table struct {
	db                *database.DB
	statements        *database.Statements
	answers, counters database.Bulk
}

// New prepares the statements; the tables must be there.
func New(db *database.DB) (*Table, error) {
	t := &Table{db: db, statements: db.ToWrite()}
	t.answers = t.statements.Bulk(upsertAnswers, 5, onAnswer)
	t.counters = t.statements.Bulk(raiseCounters, 2, onQuestion)
	return t, t.statements.Err()
}

// Close gives the statements back.
func (t *Table) Close() { t.statements.Close() }

// Apply lets the answers take effect in tx.
func (t *Table) Apply(ctx context.Context, tx *sql.Tx, answers []event.AnswerAdded) error {
	rows := make([]any, 0, 5*len(answers))
	place := make(map[string]int, len(answers)) // a bulk takes a key once
	counts := make(map[string]int, len(answers))
	for _, a := range answers {
		row := []any{a.AnswerID, a.QuestionID, a.AuthorID, a.Excerpt, a.OccurredAt.UnixMicro()}
		if i, known := place[a.AnswerID]; known {
			copy(rows[i:], row)
		} else {
			place[a.AnswerID] = len(rows)
			rows = append(rows, row...)
		}
		counts[a.QuestionID]++
	}
	if err := t.answers.Exec(ctx, tx, rows); err != nil {
		return fmt.Errorf("writing answers: %w", err)
	}
	counters := make([]any, 0, 2*len(counts))
	for id, n := range counts {
		counters = append(counters, id, n)
	}
	if err := t.counters.Exec(ctx, tx, counters); err != nil {
		return fmt.Errorf("raising counters: %w", err)
	}
	return nil
}

// Commit applies the answers in a transaction of their own, on the disk when
// it returns: what is acknowledged to a broker must be.
func (t *Table) Commit(ctx context.Context, answers ...event.AnswerAdded) error {
	return t.db.Update(ctx, database.Durable, func(ctx context.Context, tx *sql.Tx) error {
		return t.Apply(ctx, tx, answers)
	})
}

// Check reports when n answers did not take effect once each.
func Check(ctx context.Context, db *database.DB, n int) error {
	var rows, counted int
	if err := db.Read().QueryRowContext(ctx, totals).Scan(&rows, &counted); err != nil {
		return fmt.Errorf("counting effects: %w", err)
	}
	if rows != n || counted != n {
		return fmt.Errorf("of %d answers, %d have a row and the counters say %d", n, rows, counted)
	}
	return nil
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
