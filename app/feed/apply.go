package feed

import (
	"context"
	"database/sql"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
)

// apply takes changes into the tables. The order of its statements is that
// of the locks, questions by id, answers, subjects by name, so that several
// workers on one server neither deadlock nor lose an update.
func (s *Store) apply(ctx context.Context, tx *sql.Tx, changes []change) error {
	b := collapse(changes)
	if err := s.readQuestions(ctx, tx, b.questions); err != nil {
		return fmt.Errorf("feed: reading questions: %w", err)
	}
	if err := s.readAnswers(ctx, tx, b.answers); err != nil {
		return fmt.Errorf("feed: reading answers: %w", err)
	}
	b.merge()
	if err := s.writeAnswers(ctx, tx, b.answers); err != nil {
		return fmt.Errorf("feed: writing answers: %w", err)
	}
	if err := s.refresh(ctx, tx, b.questions); err != nil {
		return fmt.Errorf("feed: looking up first and last answers: %w", err)
	}
	if err := s.writeQuestions(ctx, tx, b.questions); err != nil {
		return fmt.Errorf("feed: writing questions: %w", err)
	}
	if err := s.writeSubjects(ctx, tx, b.questions); err != nil {
		return fmt.Errorf("feed: writing subjects: %w", err)
	}
	return nil
}

func (s *Store) readQuestions(ctx context.Context, tx *sql.Tx, questions []*questionEdit) error {
	ids := make([]string, len(questions))
	for i, q := range questions {
		ids[i] = q.id
	}
	return byKeys(ctx, tx, s.writing.questions, ids, func(rows *sql.Rows) error {
		var (
			place                           int
			asked, versionAt, first, latest sql.NullInt64
			digest                          sql.RawBytes
			r                               = row{stored: true}
		)
		err := rows.Scan(&place, &asked, &versionAt, &digest, &r.subject, &r.grade, &r.authorID,
			&r.count, &first, &r.firstID, &latest, &r.title, &r.excerpt)
		if err != nil {
			return err
		}
		r.known, r.askedAt, r.version.At = asked.Valid, asked.Int64, versionAt.Int64
		copy(r.version.Digest[:], digest)
		r.firstAt, r.lastAt = first.Int64, latest.Int64
		questions[place].before = r
		return nil
	})
}

func (s *Store) readAnswers(ctx context.Context, tx *sql.Tx, answers []*answerEdit) error {
	if len(answers) == 0 {
		return nil
	}
	ids := make([][2]string, len(answers))
	for i, a := range answers {
		ids[i] = [2]string{a.of.id, a.id}
	}
	return byKeys(ctx, tx, s.writing.answers, ids, func(rows *sql.Rows) error {
		var (
			place               int
			gone                bool
			answered, versionAt sql.NullInt64
			digest              sql.RawBytes
			a                   = answer{life: live}
		)
		err := rows.Scan(&place, &gone, &answered, &versionAt, &digest, &a.authorID, &a.excerpt)
		if err != nil {
			return err
		}
		if gone {
			a.life = removed
		}
		a.answeredAt, a.version.At = answered.Int64, versionAt.Int64
		copy(a.version.Digest[:], digest)
		answers[place].before = a
		return nil
	})
}

func (s *Store) writeAnswers(ctx context.Context, tx *sql.Tx, answers []*answerEdit) error {
	values := make([]any, 0, 8*len(answers))
	for _, a := range answers {
		if a.before == a.after {
			continue
		}
		gone := a.after.life == removed
		values = append(values, a.of.id, a.id, gone,
			unless(gone, a.after.answeredAt), unless(gone, a.after.version.At), unless(gone, a.after.version.Digest[:]),
			a.after.authorID, a.after.excerpt)
	}
	return s.writing.answer.Exec(ctx, tx, values)
}

// refresh looks up the first and the last answer of the questions that lost
// theirs.
func (s *Store) refresh(ctx context.Context, tx *sql.Tx, questions []*questionEdit) error {
	var stale []*questionEdit
	var ids []string
	for _, q := range questions {
		if q.after.stale {
			stale, ids = append(stale, q), append(ids, q.id)
		}
	}
	if len(stale) == 0 {
		return nil
	}
	return byKeys(ctx, tx, s.writing.ends, ids, func(rows *sql.Rows) error {
		var place int
		t := tally{}
		if err := rows.Scan(&place, &t.firstAt, &t.firstID, &t.lastAt); err != nil {
			return err
		}
		t.count = stale[place].after.count
		stale[place].after.tally = t
		return nil
	})
}

func (s *Store) writeQuestions(ctx context.Context, tx *sql.Tx, questions []*questionEdit) error {
	var whole, tallies, turns []any
	for _, q := range questions {
		r := &q.after
		none := !r.answered()
		sums := []any{!none, r.count, unless(none, r.firstAt), r.firstID, unless(none, r.lastAt)}
		switch {
		case q.before == q.after:
		case !q.before.stored || q.before.question != r.question:
			whole = append(whole, q.id, unless(!r.known, r.askedAt), unless(!r.known, r.version.At), unless(!r.known, r.version.Digest[:]),
				r.subject, r.grade, r.authorID, r.title, r.excerpt)
			whole = append(whole, sums...)
		case q.before.answered() != r.answered():
			turns = append(append(turns, q.id), sums...)
		default:
			tallies = append(append(tallies, q.id), sums...)
		}
	}
	if err := s.writing.question.Exec(ctx, tx, whole); err != nil {
		return err
	}
	if err := s.writing.turn.Exec(ctx, tx, turns); err != nil {
		return err
	}
	return s.writing.tally.Exec(ctx, tx, tallies)
}

func (s *Store) writeSubjects(ctx context.Context, tx *sql.Tx, questions []*questionEdit) error {
	differences := make(map[string]counts)
	for _, q := range questions {
		move(differences, q.before, q.after)
	}
	var values []any
	var shrunk []string
	for _, name := range slices.Sorted(maps.Keys(differences)) {
		d := differences[name]
		if d == (counts{}) {
			continue
		}
		values = append(values, name, d.questions, d.unanswered)
		if d.questions < 0 {
			shrunk = append(shrunk, name)
		}
	}
	if err := s.writing.count.Exec(ctx, tx, values); err != nil || len(shrunk) == 0 {
		return err
	}
	list, err := json.Marshal(shrunk)
	if err != nil {
		return err
	}
	_, err = tx.StmtContext(ctx, s.writing.drop).ExecContext(ctx, string(list))
	return err
}

// byKeys runs a query that takes a list of keys, and calls scan on each row.
func byKeys[K any](ctx context.Context, tx *sql.Tx, stmt *sql.Stmt, keys []K, scan func(*sql.Rows) error) error {
	list, err := json.Marshal(keys)
	if err != nil {
		return err
	}
	rows, err := tx.StmtContext(ctx, stmt).QueryContext(ctx, string(list))
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

// unless is NULL where absent holds.
func unless(absent bool, value any) any {
	if absent {
		return nil
	}
	return value
}
