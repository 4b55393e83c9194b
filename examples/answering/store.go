package main

import (
	"context"
	"database/sql"
	"fmt"

	"github.com/answerfeed/answerfeed/app/database"
)

// The site's own tables, beside the worker's in one database. Times are
// microseconds since 1970, UTC.
const (
	questionsTable = `CREATE TABLE IF NOT EXISTS site_questions (
		question_id TEXT NOT NULL PRIMARY KEY, title TEXT NOT NULL, subject TEXT NOT NULL, asked_at BIGINT NOT NULL)`
	answersTable = `CREATE TABLE IF NOT EXISTS site_answers (
		answer_id TEXT NOT NULL PRIMARY KEY, question_id TEXT NOT NULL, author_id TEXT NOT NULL, body TEXT NOT NULL, answered_at BIGINT NOT NULL)`
	answersOfQuestion = `CREATE INDEX IF NOT EXISTS site_answers_of ON site_answers (question_id, answered_at)`
	newestQuestions   = `CREATE INDEX IF NOT EXISTS site_questions_newest ON site_questions (asked_at)`

	insertQuestion = `INSERT INTO site_questions (question_id, title, subject, asked_at) VALUES ($1, $2, $3, $4)`
	// To a question that is not there it adds nothing.
	insertAnswer = `INSERT INTO site_answers (answer_id, question_id, author_id, body, answered_at)
		SELECT $1, question_id, $3, $4, $5 FROM site_questions WHERE question_id = $2`
	readNewest  = `SELECT question_id, title, subject FROM site_questions ORDER BY asked_at DESC, question_id LIMIT 20`
	readAnswers = `SELECT author_id, body FROM site_answers WHERE question_id = $1 ORDER BY answered_at LIMIT 20`
)

func createTables(ctx context.Context, db *database.DB) error {
	return db.Update(ctx, database.Durable, func(ctx context.Context, tx *sql.Tx) error {
		for _, statement := range []string{questionsTable, answersTable, answersOfQuestion, newestQuestions} {
			if _, err := tx.ExecContext(ctx, statement); err != nil {
				return fmt.Errorf("creating the site's tables: %w", err)
			}
		}
		return nil
	})
}

// question is one with its answers, as the page shows it.
type question struct {
	ID, Title, Subject string
	Answers            []answer
}

type answer struct{ Author, Text string }

// newest reads the 20 newest questions, and the first 20 answers of each.
func newest(ctx context.Context, db *database.DB) ([]question, error) {
	questions, err := query(ctx, db, func(q *question) []any { return []any{&q.ID, &q.Title, &q.Subject} }, readNewest)
	for i := range questions {
		if err != nil {
			break
		}
		questions[i].Answers, err = query(ctx, db, func(a *answer) []any { return []any{&a.Author, &a.Text} }, readAnswers, questions[i].ID)
	}
	if err != nil {
		return nil, fmt.Errorf("reading questions: %w", err)
	}
	return questions, nil
}

// query reads all rows, whose columns go to where columns says.
func query[T any](ctx context.Context, db *database.DB, columns func(*T) []any, text string, args ...any) (all []T, err error) {
	rows, err := db.Read().QueryContext(ctx, db.SQL(text), args...)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	for rows.Next() {
		var t T
		if err := rows.Scan(columns(&t)...); err != nil {
			return nil, err
		}
		all = append(all, t)
	}
	return all, rows.Err()
}
