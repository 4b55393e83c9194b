package feed

import (
	"context"
	"database/sql"
	"slices"
)

// locking is the statements of a database with many writers.
type locking struct {
	mark, release *sql.Stmt
	// insert adds the questions that are not there, in the order of the rows,
	// and returns the ids of those that it added.
	insert arrays
}

// take reads the questions, and sees to it that until the end of the
// transaction nobody else changes them or their answers.
//
// Where that needs locks, reading takes them, in the order of id. If questions
// are missing, the locks are given back: to wait for somebody who inserts the
// same question is safe only for who holds none. The missing ones are inserted
// first, as the batch has them, in the order of id, too. Then the others are
// locked, among them what somebody else inserted in between. Questions are
// never deleted, so now all are there.
func (w *writing) take(ctx context.Context, tx *sql.Tx, questions []*questionEdit) error {
	if w.locking == nil {
		return w.readQuestions(ctx, tx, questions)
	}
	if _, err := tx.StmtContext(ctx, w.mark).ExecContext(ctx); err != nil {
		return err
	}
	if err := w.readQuestions(ctx, tx, questions); err != nil {
		return err
	}
	stored := func(q *questionEdit) bool { return q.held.stored }
	missing := slices.DeleteFunc(slices.Clone(questions), stored)
	if len(missing) == 0 {
		return nil
	}
	if _, err := tx.StmtContext(ctx, w.release).ExecContext(ctx); err != nil {
		return err
	}
	inserted, err := w.insertQuestions(ctx, tx, missing)
	if err != nil {
		return err
	}
	var others []*questionEdit
	for _, q := range questions {
		if inserted[q.id] {
			q.held = row{stored: true, question: q.said}
		} else {
			others = append(others, q)
		}
	}
	return w.readQuestions(ctx, tx, others)
}

func (w *writing) insertQuestions(ctx context.Context, tx *sql.Tx, questions []*questionEdit) (inserted map[string]bool, err error) {
	values := make([]any, 0, 9*len(questions))
	for _, q := range questions {
		values = append(append(values, q.id), q.said.values()...)
	}
	rows, err := tx.StmtContext(ctx, w.insert.stmt).QueryContext(ctx, w.insert.columns(values)...)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	inserted = make(map[string]bool, len(questions))
	for rows.Next() {
		var id string
		if err := rows.Scan(&id); err != nil {
			return nil, err
		}
		inserted[id] = true
	}
	return inserted, rows.Err()
}

func (w *writing) readQuestions(ctx context.Context, tx *sql.Tx, questions []*questionEdit) error {
	if len(questions) == 0 {
		return nil
	}
	ids := make([]string, len(questions))
	for i, q := range questions {
		ids[i] = q.id
	}
	return w.query(ctx, tx, w.questions, keys{ids}, func(rows *sql.Rows) error {
		var (
			place                           int
			asked, versionAt, first, latest sql.NullInt64
			digest                          sql.RawBytes
			r                               = row{stored: true}
		)
		err := rows.Scan(&place, &asked, &versionAt, &digest, &r.subject, &r.count, &first, &r.firstID, &latest)
		if err != nil {
			return err
		}
		r.known, r.askedAt, r.version.At = asked.Valid, asked.Int64, versionAt.Int64
		copy(r.version.Digest[:], digest)
		r.firstAt, r.lastAt = first.Int64, latest.Int64
		questions[place].before, questions[place].held = r, r
		return nil
	})
}
