package leaderboard

import (
	"context"
	"database/sql"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
)

// What differs by dialect is here, and only here: how a list of keys comes in
// as one JSON array, k.key being the place in the array, k.value the key.
// SQLite has one writer, so reading needs no lock; on a server the touched
// answer rows must be inserted where they are missing, and locked in the
// order of the list, before they are read.
const (
	keys       = `json_each($1) AS k`
	pairFirst  = `k.value->>0`
	pairSecond = `k.value->>1`
)

const (
	readAnswers = `
SELECT k.key, a.removed, a.version_at, a.version_digest, a.author_id
FROM ` + keys + ` CROSS JOIN leaderboard_answers a WHERE a.question_id = ` + pairFirst + ` AND a.answer_id = ` + pairSecond

	insertAnswer = `INSERT INTO leaderboard_answers (question_id, answer_id, removed, version_at, version_digest, author_id)`
	updateAnswer = `
ON CONFLICT (question_id, answer_id) DO UPDATE SET removed = excluded.removed,
    version_at = excluded.version_at, version_digest = excluded.version_digest, author_id = excluded.author_id`

	insertAuthor = `INSERT INTO leaderboard_authors (author_id, answers)`
	addAuthor    = `ON CONFLICT (author_id) DO UPDATE SET answers = leaderboard_authors.answers + excluded.answers`
	dropAuthors  = `DELETE FROM leaderboard_authors WHERE answers = 0 AND author_id IN (SELECT k.value FROM ` + keys + `)`

	readTop = `SELECT author_id, answers FROM leaderboard_authors ORDER BY answers DESC, author_id LIMIT $1`
)

// apply takes changes into the tables. The order of its statements is that
// of the locks, answers and then authors by id, so that several workers on
// one server neither deadlock nor lose an update.
func (s *Store) apply(ctx context.Context, tx *sql.Tx, changes []change) error {
	edits := collapse(changes)
	if err := s.read(ctx, tx, edits); err != nil {
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

func (s *Store) read(ctx context.Context, tx *sql.Tx, edits []*edit) error {
	ids := make([][2]string, len(edits))
	for i, e := range edits {
		ids[i] = [2]string{e.key.questionID, e.key.answerID}
	}
	list, err := json.Marshal(ids)
	if err != nil {
		return err
	}
	rows, err := tx.StmtContext(ctx, s.answers).QueryContext(ctx, string(list))
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
		edits[place].before = a
	}
	return rows.Err()
}

func (s *Store) writeAnswers(ctx context.Context, tx *sql.Tx, edits []*edit) error {
	var values []any
	for _, e := range edits {
		switch {
		case e.before == e.after:
		case e.after.life == removed:
			values = append(values, e.key.questionID, e.key.answerID, true, nil, nil, "")
		default:
			values = append(values, e.key.questionID, e.key.answerID, false,
				e.after.version.At, e.after.version.Digest[:], e.after.authorID)
		}
	}
	return s.answer.Exec(ctx, tx, values)
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
	if err := s.author.Exec(ctx, tx, values); err != nil || len(shrunk) == 0 {
		return err
	}
	list, err := json.Marshal(shrunk)
	if err != nil {
		return err
	}
	_, err = tx.StmtContext(ctx, s.drop).ExecContext(ctx, string(list))
	return err
}
