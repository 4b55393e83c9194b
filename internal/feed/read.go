package feed

import (
	"context"
	"database/sql"
	"errors"
	"fmt"

	"github.com/answerfeed/answerfeed/app/database"
)

// ErrNotFound is returned by [Store.Question].
var ErrNotFound = errors.New("no such question")

// Subject counts a subject's questions.
type Subject struct {
	Subject    string `json:"subject"`
	Questions  int    `json:"questions"` // at least 1
	Unanswered int    `json:"unanswered"`
}

const (
	// LIMIT keeps PostgreSQL from going through an index of visible questions,
	// which it thinks fast while there are none, and so may go on doing.
	oneQuestion = `
SELECT ` + itemColumns + ` FROM (SELECT * FROM questions WHERE question_id = $1 LIMIT 1) q WHERE asked_at IS NOT NULL`
	allSubjects = `SELECT subject, questions, unanswered FROM subjects ORDER BY questions DESC, subject`
	// From each grade to the next by the index: as many steps as grades.
	allGrades = `
WITH RECURSIVE g (grade) AS (
    SELECT min(grade) FROM questions WHERE asked_at IS NOT NULL
    UNION ALL
    SELECT (SELECT min(q.grade) FROM questions q WHERE q.asked_at IS NOT NULL AND q.grade > g.grade) FROM g WHERE g.grade IS NOT NULL
)
SELECT grade FROM g WHERE grade IS NOT NULL`
)

// reading is the prepared statements of the reading side.
type reading struct {
	list             map[shape]*sql.Stmt
	question         *sql.Stmt
	oldest, newest   *sql.Stmt // answers
	subjects, grades *sql.Stmt
}

func prepareReading(s *database.Statements, driver string) reading {
	r := reading{
		list:     make(map[shape]*sql.Stmt),
		question: s.One(oneQuestion),
		oldest:   s.One(oldestAnswers),
		newest:   s.One(newestAnswers),
		subjects: s.One(allSubjects),
		grades:   s.One(allGrades),
	}
	for _, sh := range shapes() {
		r.list[sh] = s.One(sh.query(driver))
	}
	return r
}

// Subjects returns all subjects, most questions first, ties by name.
func (s *Store) Subjects(ctx context.Context) ([]Subject, error) {
	rows, err := s.reading.subjects.QueryContext(ctx)
	subjects, err := collect(rows, err, func(scan func(...any) error) (x Subject, err error) {
		err = scan(&x.Subject, &x.Questions, &x.Unanswered)
		return x, err
	})
	if err != nil {
		return nil, fmt.Errorf("feed: reading subjects: %w", err)
	}
	return subjects, nil
}

// Grades returns the grades of all questions, each once, in the order of
// their bytes.
func (s *Store) Grades(ctx context.Context) ([]string, error) {
	rows, err := s.reading.grades.QueryContext(ctx)
	grades, err := collect(rows, err, func(scan func(...any) error) (grade string, err error) {
		err = scan(&grade)
		return grade, err
	})
	if err != nil {
		return nil, fmt.Errorf("feed: reading grades: %w", err)
	}
	return grades, nil
}

// collect reads all rows of a query with one. The slice is never nil.
func collect[T any](rows *sql.Rows, err error, one func(scan func(...any) error) (T, error)) ([]T, error) {
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	all := []T{}
	for rows.Next() {
		t, err := one(rows.Scan)
		if err != nil {
			return nil, err
		}
		all = append(all, t)
	}
	return all, rows.Err()
}
