package feed

import (
	"context"
	"database/sql"

	"github.com/answerfeed/answerfeed/app/database"
)

// What the dialects share is here; what differs is in sql_sqlite.go and
// sql_postgres.go, and only there. Texts compare bytewise, as Go's do: BINARY,
// which is SQLite's own way, or COLLATE "C".
//
// A list of keys comes in as the dialect's writing.values makes it. Queries over
// one return, first, the place in the list.

// writing is the statements of the writing side, in the dialect's words.
type writing struct {
	// questions also locks them, in the order of the list, where the
	// transaction is not alone by itself. Then locking is not nil.
	questions, answers, ends, drop *sql.Stmt
	*locking

	question, asked, turn, newAnswer, answer, count bulk
	// tally is for rows of which answered stays as it is, where the database
	// would not see by itself that no index is touched. nil: it would.
	tally bulk

	// values are the placeholders' values for a list of keys.
	values func(keys) ([]any, error)
}

// keys is a list of keys, a slice for each of their columns.
type keys [][]string

// bulk writes rows, which lie one after the other in values. No two of them
// may have the same key.
type bulk interface {
	Exec(ctx context.Context, tx *sql.Tx, values []any) error
}

func prepareWriting(s *database.Statements, driver string) writing {
	if driver == database.Postgres {
		return preparePostgres(s)
	}
	return prepareSQLite(s)
}

// query runs a statement over a list of keys, and calls scan on each row.
func (w *writing) query(ctx context.Context, tx *sql.Tx, stmt *sql.Stmt, list keys, scan func(*sql.Rows) error) error {
	values, err := w.values(list)
	if err != nil {
		return err
	}
	rows, err := tx.StmtContext(ctx, stmt).QueryContext(ctx, values...)
	if err != nil {
		return err
	}
	defer rows.Close()
	for rows.Next() {
		if err := scan(rows); err != nil {
			return err
		}
	}
	return rows.Err()
}

func (w *writing) exec(ctx context.Context, tx *sql.Tx, stmt *sql.Stmt, list keys) error {
	values, err := w.values(list)
	if err != nil {
		return err
	}
	_, err = tx.StmtContext(ctx, stmt).ExecContext(ctx, values...)
	return err
}

const (
	// The texts that decide nothing are not read.
	questionColumns = `asked_at, version_at, version_digest, subject, answer_count, first_answered_at, first_answer_id, last_answer_at`
	answerColumns   = `removed, answered_at, version_at, version_digest, author_id, excerpt`

	insertStub = `
INSERT INTO questions (question_id, asked_at, version_at, version_digest, subject, grade, author_id, title, excerpt)`
	insertQuestion = `
INSERT INTO questions (question_id, asked_at, version_at, version_digest, subject, grade, author_id, title, excerpt,
    answered, answer_count, first_answered_at, first_answer_id, last_answer_at)`
	updateQuestion = `
ON CONFLICT (question_id) DO UPDATE SET asked_at = excluded.asked_at, version_at = excluded.version_at,
    version_digest = excluded.version_digest, subject = excluded.subject, grade = excluded.grade, author_id = excluded.author_id,
    title = excluded.title, excerpt = excluded.excerpt, answered = excluded.answered,` + setTally

	insertAsked = `
INSERT INTO questions (question_id, asked_at)`
	updateAsked = `
ON CONFLICT (question_id) DO UPDATE SET asked_at = excluded.asked_at`

	insertTally = `
INSERT INTO questions (question_id, answered, answer_count, first_answered_at, first_answer_id, last_answer_at)`
	updateTally = `
ON CONFLICT (question_id) DO UPDATE SET` + setTally
	updateTurn = `
ON CONFLICT (question_id) DO UPDATE SET answered = excluded.answered,` + setTally
	setTally = `
    answer_count = excluded.answer_count, first_answered_at = excluded.first_answered_at,
    first_answer_id = excluded.first_answer_id, last_answer_at = excluded.last_answer_at`

	insertAnswer = `
INSERT INTO answers (question_id, answer_id, ` + answerColumns + `)`
	updateAnswer = `
ON CONFLICT (question_id, answer_id) DO UPDATE SET removed = excluded.removed, answered_at = excluded.answered_at,
    version_at = excluded.version_at, version_digest = excluded.version_digest,
    author_id = excluded.author_id, excerpt = excluded.excerpt`

	insertSubject = `
INSERT INTO subjects (subject, questions, unanswered)`
	addSubject = `
ON CONFLICT (subject) DO UPDATE SET questions = subjects.questions + excluded.questions,
    unanswered = subjects.unanswered + excluded.unanswered`
)
