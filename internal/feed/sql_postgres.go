package feed

import (
	"context"
	"database/sql"
	"fmt"
	"strconv"
	"strings"

	"github.com/answerfeed/answerfeed/app/database"
)

// PostgreSQL has many writers. Each statement sees what was committed before
// it began, and a row that it waited for as it is then. So what is read once
// the questions are locked is what nobody else can change: the questions, and
// their answers, which are only written by who has the question.
//
// A list of keys comes in as an array a column. Statements are planned once
// and kept, perhaps while the tables were empty, so none leaves the planner
// the choice to go through a table: ON CONFLICT goes by the key, and FOR
// UPDATE or OFFSET 0 keeps a lookup what it is, one for each key in turn.
const (
	postgresQuestions = `
SELECT k.place - 1, q.* FROM unnest($1::text[]) WITH ORDINALITY AS k (question_id, place)
CROSS JOIN LATERAL (SELECT ` + questionColumns + ` FROM questions q WHERE q.question_id = k.question_id FOR UPDATE) q`

	postgresAnswers = `
SELECT k.place - 1, a.* FROM unnest($1::text[], $2::text[]) WITH ORDINALITY AS k (question_id, answer_id, place)
CROSS JOIN LATERAL (
    SELECT ` + answerColumns + ` FROM answers a WHERE a.question_id = k.question_id AND a.answer_id = k.answer_id OFFSET 0
) a`

	// The first and the last answer of questions that have one.
	postgresEnds = `
SELECT k.place - 1, f.answered_at, f.answer_id, l.answered_at
FROM unnest($1::text[]) WITH ORDINALITY AS k (question_id, place)
CROSS JOIN LATERAL (
    SELECT answered_at, answer_id FROM answers a
    WHERE a.question_id = k.question_id AND NOT a.removed ORDER BY a.answered_at, a.answer_id LIMIT 1
) f
CROSS JOIN LATERAL (
    SELECT answered_at FROM answers a
    WHERE a.question_id = k.question_id AND NOT a.removed ORDER BY a.answered_at DESC, a.answer_id DESC LIMIT 1
) l`

	postgresDrop = `DELETE FROM subjects WHERE questions = 0 AND subject = ANY ($1::text[])`
)

func preparePostgres(s *database.Statements) writing {
	const (
		register = `text bigint bigint bytea text text text text text`
		tally    = ` boolean bigint bigint text bigint`
		answer   = `text text boolean bigint bigint bytea text text`
	)
	return writing{
		questions: s.One(postgresQuestions),
		answers:   s.One(postgresAnswers),
		ends:      s.One(postgresEnds),
		drop:      s.One(postgresDrop),
		question:  prepareArrays(s, insertQuestion, register+tally, updateQuestion),
		asked:     prepareArrays(s, insertAsked, `text bigint`, updateAsked),
		turn:      prepareArrays(s, insertTally, `text`+tally, updateTurn),
		newAnswer: prepareArrays(s, insertAnswer, answer, ``), // which spares a fourth of the time
		answer:    prepareArrays(s, insertAnswer, answer, updateAnswer),
		count:     prepareArrays(s, insertSubject, `text bigint bigint`, addSubject),
		values:    asArrays,
		locking: &locking{
			mark:    s.One(`SAVEPOINT feed`),
			release: s.One(`ROLLBACK TO SAVEPOINT feed`),
			insert:  prepareArrays(s, insertStub, register, `ON CONFLICT DO NOTHING RETURNING question_id`),
		},
	}
}

func asArrays(list keys) ([]any, error) {
	values := make([]any, len(list))
	for i, column := range list {
		values[i] = column
	}
	return values, nil
}

// among makes PostgreSQL read a run in its order, by an index, as far as it is
// asked to. Left to itself it sorts all of two runs of one table to merge them,
// and all of one run if it does not know the limit, as in a plan that it keeps.
// With the largest limit inside it knows enough. SQLite needs no such help.
func among(driver, run, order string) string {
	if driver == database.Postgres {
		return `SELECT * FROM (` + run + order + strconv.Itoa(MaxLimit+1) + `) run`
	}
	return run
}

// arrays is a bulk that writes all rows by one statement, which takes an array
// for each column, and writes in the order of the rows.
type arrays struct {
	stmt *sql.Stmt
	cols int
}

// prepareArrays prepares "insert SELECT … conflict" for columns of the types.
func prepareArrays(s *database.Statements, insert, types, conflict string) arrays {
	columns := strings.Fields(types)
	for i, of := range columns {
		columns[i] = fmt.Sprintf("$%d::%s[]", i+1, of)
	}
	return arrays{
		stmt: s.One(insert + ` SELECT * FROM unnest(` + strings.Join(columns, ", ") + `) ` + conflict),
		cols: len(columns),
	}
}

func (a arrays) Exec(ctx context.Context, tx *sql.Tx, values []any) error {
	if len(values) == 0 {
		return nil
	}
	_, err := tx.StmtContext(ctx, a.stmt).ExecContext(ctx, a.columns(values)...)
	return err
}

// columns turns rows into an array for each column.
func (a arrays) columns(values []any) []any {
	columns := make([]any, a.cols)
	for i := range columns {
		column := make([]any, 0, len(values)/a.cols)
		for j := i; j < len(values); j += a.cols {
			column = append(column, values[j])
		}
		columns[i] = column
	}
	return columns
}
