package leaderboard

import (
	"context"
	"database/sql"
	"fmt"
	"maps"
	"slices"
)

// apply takes changes into the tables. The order of its statements is that
// of the locks, answers and then authors by id, so that several workers on
// one server neither deadlock nor lose an update.
func (s *Store) apply(ctx context.Context, tx *sql.Tx, changes []change) error {
	edits := collapse(changes)
	if err := s.take(ctx, tx, edits); err != nil {
		return fmt.Errorf("leaderboard: reading answers: %w", err)
	}
	for _, e := range edits {
		e.after = e.before.merge(e.said)
	}
	if err := s.writeAnswers(ctx, tx, edits); err != nil {
		return fmt.Errorf("leaderboard: writing answers: %w", err)
	}
	if err := s.writeAuthors(ctx, tx, differences(edits)); err != nil {
		return fmt.Errorf("leaderboard: writing authors: %w", err)
	}
	return nil
}

// take reads the answers, and sees to it that nobody else changes them until
// the end of the transaction. Where that needs locks, the missing ones are
// inserted first, as the batch has them, and then the others are locked, both
// in the order of their keys. Answers are never deleted, so then all are there.
func (s *Store) take(ctx context.Context, tx *sql.Tx, edits []*edit) error {
	if s.writing.insert == nil {
		return s.read(ctx, tx, edits)
	}
	inserted, err := s.insert(ctx, tx, edits)
	if err != nil {
		return err
	}
	var others []*edit
	for _, e := range edits {
		if inserted[e.key] {
			e.held = e.said
		} else {
			others = append(others, e)
		}
	}
	return s.read(ctx, tx, others)
}

func (s *Store) insert(ctx context.Context, tx *sql.Tx, edits []*edit) (inserted map[key]bool, err error) {
	values := make([]any, 0, 6*len(edits))
	for _, e := range edits {
		values = append(values, e.values(e.said)...)
	}
	insert := s.writing.insert
	rows, err := tx.StmtContext(ctx, insert.stmt).QueryContext(ctx, insert.columns(values)...)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	inserted = make(map[key]bool, len(edits))
	for rows.Next() {
		var k key
		if err := rows.Scan(&k.questionID, &k.answerID); err != nil {
			return nil, err
		}
		inserted[k] = true
	}
	return inserted, rows.Err()
}

func (s *Store) read(ctx context.Context, tx *sql.Tx, edits []*edit) error {
	if len(edits) == 0 {
		return nil
	}
	questions, ids := make([]string, len(edits)), make([]string, len(edits))
	for i, e := range edits {
		questions[i], ids[i] = e.key.questionID, e.key.answerID
	}
	values, err := s.writing.values(questions, ids)
	if err != nil {
		return err
	}
	rows, err := tx.StmtContext(ctx, s.writing.answers).QueryContext(ctx, values...)
	if err != nil {
		return err
	}
	defer rows.Close()
	for rows.Next() {
		var (
			place     int
			gone      bool
			versionAt sql.NullInt64
			digest    sql.RawBytes
			a         = answer{life: live}
		)
		if err := rows.Scan(&place, &gone, &versionAt, &digest, &a.authorID); err != nil {
			return err
		}
		if gone {
			a.life = removed
		}
		a.version.At = versionAt.Int64
		copy(a.version.Digest[:], digest)
		edits[place].before, edits[place].held = a, a
	}
	return rows.Err()
}

func (s *Store) writeAnswers(ctx context.Context, tx *sql.Tx, edits []*edit) error {
	var values []any
	for _, e := range edits {
		if e.held != e.after {
			values = append(values, e.values(e.after)...)
		}
	}
	return s.writing.answer.Exec(ctx, tx, values)
}

// values is the answer's row, once it is a.
func (e *edit) values(a answer) []any {
	if a.life == removed {
		return []any{e.key.questionID, e.key.answerID, true, nil, nil, ""}
	}
	return []any{e.key.questionID, e.key.answerID, false, a.version.At, a.version.Digest[:], a.authorID}
}

func (s *Store) writeAuthors(ctx context.Context, tx *sql.Tx, differences map[string]int) error {
	var values []any
	var shrunk []string
	for _, id := range slices.Sorted(maps.Keys(differences)) {
		d := differences[id]
		if d == 0 {
			continue
		}
		values = append(values, id, d)
		if d < 0 {
			shrunk = append(shrunk, id)
		}
	}
	if err := s.writing.author.Exec(ctx, tx, values); err != nil || len(shrunk) == 0 {
		return err
	}
	list, err := s.writing.values(shrunk)
	if err != nil {
		return err
	}
	_, err = tx.StmtContext(ctx, s.writing.drop).ExecContext(ctx, list...)
	return err
}
