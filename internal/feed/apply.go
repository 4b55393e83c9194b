package feed

import (
	"context"
	"database/sql"
	"fmt"
	"maps"
	"slices"
)

// apply takes changes into the tables. The order of its statements is that
// of the locks, questions by id, answers, subjects by name, so that several
// workers on one server neither deadlock nor lose an update.
func (s *Store) apply(ctx context.Context, tx *sql.Tx, changes []change) error {
	b := collapse(changes)
	if err := s.writing.take(ctx, tx, b.questions); err != nil {
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

func (s *Store) readAnswers(ctx context.Context, tx *sql.Tx, answers []*answerEdit) error {
	if len(answers) == 0 {
		return nil
	}
	questions, ids := make([]string, len(answers)), make([]string, len(answers))
	for i, a := range answers {
		questions[i], ids[i] = a.of.id, a.id
	}
	return s.writing.query(ctx, tx, s.writing.answers, keys{questions, ids}, func(rows *sql.Rows) error {
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
	var added, changed []any
	for _, a := range answers {
		if a.before == a.after {
			continue
		}
		into := &changed
		if a.before.life == unknown {
			into = &added
		}
		gone := a.after.life == removed
		*into = append(*into, a.of.id, a.id, gone,
			unless(gone, a.after.answeredAt), unless(gone, a.after.version.At), unless(gone, a.after.version.Digest[:]),
			a.after.authorID, a.after.excerpt)
	}
	if err := s.writing.newAnswer.Exec(ctx, tx, added); err != nil {
		return err
	}
	return s.writing.answer.Exec(ctx, tx, changed)
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
	return s.writing.query(ctx, tx, s.writing.ends, keys{ids}, func(rows *sql.Rows) error {
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
	var whole, asked, tallies, turns []any
	for _, q := range questions {
		r := &q.after
		none := !r.answered()
		sums := []any{!none, r.count, unless(none, r.firstAt), r.firstID, unless(none, r.lastAt)}
		if !q.held.stored || q.held.version != r.version {
			whole = append(append(append(whole, q.id), r.question.values()...), sums...)
			continue
		}
		if q.held.askedAt != r.askedAt {
			asked = append(asked, q.id, r.askedAt)
		}
		switch {
		case q.held.tally == r.tally:
		case s.writing.tally == nil || q.held.answered() != r.answered():
			turns = append(append(turns, q.id), sums...)
		default:
			tallies = append(append(tallies, q.id), sums...)
		}
	}
	if err := s.writing.question.Exec(ctx, tx, whole); err != nil {
		return err
	}
	if err := s.writing.asked.Exec(ctx, tx, asked); err != nil {
		return err
	}
	if err := s.writing.turn.Exec(ctx, tx, turns); err != nil {
		return err
	}
	if len(tallies) == 0 {
		return nil
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
	return s.writing.exec(ctx, tx, s.writing.drop, keys{shrunk})
}

// values are those of the register's columns, in the order of insertStub.
func (q *question) values() []any {
	return []any{unless(!q.known, q.askedAt), unless(!q.known, q.version.At), unless(!q.known, q.version.Digest[:]),
		q.subject, q.grade, q.authorID, q.title, q.excerpt}
}

// unless is NULL where absent holds.
func unless(absent bool, value any) any {
	if absent {
		return nil
	}
	return value
}
