package leaderboard

import (
	"context"
	"database/sql"
	"encoding/json"
	"fmt"
	"strings"

	"github.com/answerfeed/answerfeed/app/database"
)

const (
	insertAnswer = `
INSERT INTO leaderboard_answers (question_id, answer_id, removed, version_at, version_digest, author_id)`
	updateAnswer = `
ON CONFLICT (question_id, answer_id) DO UPDATE SET removed = excluded.removed,
    version_at = excluded.version_at, version_digest = excluded.version_digest, author_id = excluded.author_id`

	insertAuthor = `
INSERT INTO leaderboard_authors (author_id, answers)`
	addAuthor = `
ON CONFLICT (author_id) DO UPDATE SET answers = leaderboard_authors.answers + excluded.answers`

	readTop = `SELECT author_id, answers FROM leaderboard_authors ORDER BY answers DESC, author_id LIMIT $1`
)

// writing is the statements of the writing side, in the dialect's words.
type writing struct {
	// insert adds the answers that are not there, in the order of the rows,
	// and returns the keys of those that it added. nil: the transaction is
	// alone by itself, and need not see to it that there is something to lock.
	insert *arrays
	// answers reads the answers of a list of keys: first the place in the
	// list. Where the transaction is not alone it locks them in that order.
	answers, drop  *sql.Stmt
	answer, author bulk
	// values are the placeholders' values for a list of keys, of which each
	// column is given.
	values func(columns ...[]string) ([]any, error)
}

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

// On SQLite a list of keys comes in as one JSON array, k.key being the place
// in the array, k.value the key.
const (
	sqliteAnswers = `
SELECT k.key, a.removed, a.version_at, a.version_digest, a.author_id FROM json_each($1) AS k CROSS JOIN leaderboard_answers a
WHERE a.question_id = k.value->>0 AND a.answer_id = k.value->>1`

	sqliteDrop = `DELETE FROM leaderboard_authors WHERE answers = 0 AND author_id IN (SELECT k.value FROM json_each($1) AS k)`
)

func prepareSQLite(s *database.Statements) writing {
	return writing{
		answers: s.One(sqliteAnswers),
		drop:    s.One(sqliteDrop),
		answer:  s.Bulk(insertAnswer, 6, updateAnswer),
		author:  s.Bulk(insertAuthor, 2, addAuthor),
		values:  asJSON,
	}
}

// asJSON writes ["u1","u2"], and [["q1","a1"],["q2","a2"]] of two columns.
func asJSON(columns ...[]string) ([]any, error) {
	var document any = columns[0]
	if len(columns) == 2 {
		pairs := make([][2]string, len(columns[0]))
		for i := range pairs {
			pairs[i] = [2]string{columns[0][i], columns[1][i]}
		}
		document = pairs
	}
	text, err := json.Marshal(document)
	return []any{string(text)}, err
}

// On PostgreSQL a list of keys comes in as an array a column. Statements are
// planned once and kept, perhaps while the tables were empty: FOR UPDATE keeps
// a lookup what it is, one for each key in turn.
const (
	postgresAnswers = `
SELECT k.place - 1, a.* FROM unnest($1::text[], $2::text[]) WITH ORDINALITY AS k (question_id, answer_id, place)
CROSS JOIN LATERAL (
    SELECT removed, version_at, version_digest, author_id FROM leaderboard_answers a
    WHERE a.question_id = k.question_id AND a.answer_id = k.answer_id FOR UPDATE
) a`

	postgresDrop = `DELETE FROM leaderboard_authors WHERE answers = 0 AND author_id = ANY ($1::text[])`
)

func preparePostgres(s *database.Statements) writing {
	const answer = `text text boolean bigint bytea text`
	insert := prepareArrays(s, insertAnswer, answer, `ON CONFLICT DO NOTHING RETURNING question_id, answer_id`)
	return writing{
		insert:  &insert,
		answers: s.One(postgresAnswers),
		drop:    s.One(postgresDrop),
		answer:  prepareArrays(s, insertAnswer, answer, updateAnswer),
		author:  prepareArrays(s, insertAuthor, `text bigint`, addAuthor),
		values: func(columns ...[]string) ([]any, error) {
			values := make([]any, len(columns))
			for i, column := range columns {
				values[i] = column
			}
			return values, nil
		},
	}
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
