package bench

import (
	"context"
	"database/sql"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/answerfeed/answerfeed/app/database"
	"github.com/answerfeed/answerfeed/app/event"
)

const (
	// groupCommit is how many effects share a commit at most, as in the feed.
	groupCommit = 512

	tableAnswers, tableQuestions = "answers", "questions"

	createTables = `CREATE TABLE IF NOT EXISTS %answers% (answer_id %text% NOT NULL PRIMARY KEY, question_id %text% NOT NULL,
			author_id %text% NOT NULL, excerpt %text% NOT NULL, answered_at BIGINT NOT NULL)%keyed%;
		CREATE TABLE IF NOT EXISTS %questions% (question_id %text% NOT NULL PRIMARY KEY, answers INTEGER NOT NULL)%keyed%`
	upsertAnswers = `INSERT INTO %answers% (answer_id, question_id, author_id, excerpt, answered_at) `
	onAnswer      = `ON CONFLICT (answer_id) DO UPDATE SET question_id = excluded.question_id, author_id = excluded.author_id,
		excerpt = excluded.excerpt, answered_at = excluded.answered_at`
	raiseCounters = `INSERT INTO %questions% AS q (question_id, answers) `
	onQuestion    = `ON CONFLICT (question_id) DO UPDATE SET answers = q.answers + excluded.answers`
	countEffects  = `SELECT (SELECT count(*) FROM %answers%), (SELECT coalesce(sum(answers), 0) FROM %questions%)`

	// PostgreSQL takes a column of a batch as an array.
	answerArrays  = `SELECT * FROM unnest($1::text[], $2::text[], $3::text[], $4::text[], $5::bigint[]) `
	counterArrays = `SELECT * FROM unnest($1::text[], $2::integer[]) `
)

// tables are where the effect of one handler lands: a row upserted for each
// answer, and the counter of its question raised. An answer that takes effect
// twice raises the counter twice.
type tables struct {
	names    *strings.Replacer
	postgres bool
}

func (p place) tables(n int, driver string) tables {
	text, keyed := "TEXT", " WITHOUT ROWID"
	if driver == database.Postgres {
		text, keyed = `TEXT COLLATE "C"`, ""
	}
	return tables{postgres: driver == database.Postgres, names: strings.NewReplacer("%text%", text, "%keyed%", keyed,
		"%answers%", p.table(tableAnswers, n), "%questions%", p.table(tableQuestions, n))}
}

func (t tables) create(ctx context.Context, db *database.DB) error {
	err := db.Update(ctx, database.Durable, func(ctx context.Context, tx *sql.Tx) error {
		_, err := tx.ExecContext(ctx, t.names.Replace(createTables))
		return err
	})
	if err != nil {
		return fmt.Errorf("making the effect's tables: %w", err)
	}
	return nil
}

// count is how many answers took effect, and how often altogether.
func (t tables) count(ctx context.Context, db *database.DB) (answers, times int64, err error) {
	if err := db.Read().QueryRowContext(ctx, t.names.Replace(countEffects)).Scan(&answers, &times); err != nil {
		return 0, 0, fmt.Errorf("counting effects: %w", err)
	}
	return answers, times, nil
}

// effect applies answers, many in a commit.
type effect struct {
	postgres   bool
	statements *database.Statements
	bulk       struct{ answers, counters database.Bulk } // SQLite
	arrays     struct{ answers, counters *sql.Stmt }     // PostgreSQL
	committing *database.Batcher[event.AnswerAdded]
}

func (t tables) effect(db *database.DB, d database.Durability) (*effect, error) {
	e := &effect{postgres: t.postgres, statements: db.ToWrite()}
	sql := t.names.Replace
	if t.postgres {
		e.arrays.answers = e.statements.One(sql(upsertAnswers + answerArrays + onAnswer))
		e.arrays.counters = e.statements.One(sql(raiseCounters + counterArrays + onQuestion))
	} else {
		e.bulk.answers = e.statements.Bulk(sql(upsertAnswers), 5, onAnswer)
		e.bulk.counters = e.statements.Bulk(sql(raiseCounters), 2, onQuestion)
	}
	if err := e.statements.Err(); err != nil {
		e.statements.Close()
		return nil, err
	}
	e.committing = database.NewBatcher(db, d, groupCommit, e.apply)
	return e, nil
}

func (e *effect) close() {
	e.committing.Close()
	e.statements.Close()
}

// apply goes in the order of ids, as everybody does: so nobody waits for one
// that waits for him.
func (e *effect) apply(ctx context.Context, tx *sql.Tx, answers []event.AnswerAdded) error {
	sorted := slices.Clone(answers)
	slices.SortStableFunc(sorted, func(a, b event.AnswerAdded) int { return strings.Compare(a.AnswerID, b.AnswerID) })
	counts := make(map[string]int32, len(sorted))
	last := sorted[:0] // of each answer: a statement takes a key once
	for _, a := range sorted {
		counts[a.QuestionID]++
		if n := len(last); n > 0 && last[n-1].AnswerID == a.AnswerID {
			last[n-1] = a
		} else {
			last = append(last, a)
		}
	}
	questions := slices.Sorted(maps.Keys(counts))
	if e.postgres {
		return e.applyArrays(ctx, tx, last, questions, counts)
	}
	rows := make([]any, 0, 5*len(last))
	for _, a := range last {
		rows = append(rows, a.AnswerID, a.QuestionID, a.AuthorID, a.Excerpt, a.OccurredAt.UnixMicro())
	}
	if err := e.bulk.answers.Exec(ctx, tx, rows); err != nil {
		return fmt.Errorf("writing answers: %w", err)
	}
	raise := make([]any, 0, 2*len(questions))
	for _, id := range questions {
		raise = append(raise, id, counts[id])
	}
	if err := e.bulk.counters.Exec(ctx, tx, raise); err != nil {
		return fmt.Errorf("raising counters: %w", err)
	}
	return nil
}

func (e *effect) applyArrays(ctx context.Context, tx *sql.Tx, answers []event.AnswerAdded, questions []string, counts map[string]int32) error {
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
	_, err := tx.StmtContext(ctx, e.arrays.answers).ExecContext(ctx, columns[0], columns[1], columns[2], columns[3], at)
	if err != nil {
		return fmt.Errorf("writing answers: %w", err)
	}
	raise := make([]int32, 0, len(questions))
	for _, id := range questions {
		raise = append(raise, counts[id])
	}
	if _, err := tx.StmtContext(ctx, e.arrays.counters).ExecContext(ctx, questions, raise); err != nil {
		return fmt.Errorf("raising counters: %w", err)
	}
	return nil
}
