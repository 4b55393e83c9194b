// Package leaderboard is the read model of who has written how many answers:
// the leaderboard handler writes it, the web pages read it.
//
// The one thing to know: it converges, as package feed does, with which it
// shares nothing. An answer is a register of its author (register.go); an
// author's number is that of the answers that name him last and were never
// removed. Events may come twice and in any order.
package leaderboard

import (
	"context"
	"database/sql"
	"errors"
	"fmt"

	"github.com/answerfeed/answerfeed/app/database"
	"github.com/answerfeed/answerfeed/app/event"
)

const (
	// batchSize is the most events that share one commit.
	batchSize = 512
	// MaxLimit is the most authors that Top returns.
	MaxLimit = 1000
)

// Author is a place on the leaderboard.
type Author struct {
	AuthorID string `json:"author_id"`
	Answers  int    `json:"answers"` // live ones; at least 1
}

// Store is the leaderboard's tables in a database. It is safe for concurrent
// use; several Stores, in one process or in many, may work on one database.
// What it is given must have been decoded by package event, which sees to ids
// of valid UTF-8 and sets the digest.
type Store struct {
	toWrite    *database.Statements
	toRead     *database.Statements
	writing    writing
	top        *sql.Stmt
	committing *database.Batcher[change]
}

// New prepares a Store on tables that [database.DB.Migrate] has made. d is
// what a commit must survive before an event counts as taken in.
func New(db *database.DB, d database.Durability) (*Store, error) {
	s := &Store{
		toWrite: db.ToWrite(),
		toRead:  db.ToRead(),
	}
	s.writing = prepareWriting(s.toWrite, db.Driver())
	s.top = s.toRead.One(readTop)
	if err := errors.Join(s.toWrite.Err(), s.toRead.Err()); err != nil {
		s.toWrite.Close()
		s.toRead.Close()
		return nil, fmt.Errorf("leaderboard: %w", err)
	}
	s.committing = database.NewOwnBatcher(db, d, batchSize, s.apply)
	return s, nil
}

// Close commits what was accepted and gives the statements back. The database
// stays open; nothing may be called afterwards.
func (s *Store) Close() {
	s.committing.Close()
	s.toWrite.Close()
	s.toRead.Close()
}

// AnswerAdded counts an answer for its author, or moves it to the author whom
// a later version names; without an author it counts for nobody. It returns
// when that is committed.
func (s *Store) AnswerAdded(ctx context.Context, e event.AnswerAdded) error {
	return s.committing.Do(ctx, answerAdded(e))
}

// AnswerRemoved takes an answer out of the count for ever, though it be added
// later. It returns when that is committed.
func (s *Store) AnswerRemoved(ctx context.Context, e event.AnswerRemoved) error {
	return s.committing.Do(ctx, answerRemoved(e))
}

// Top returns the authors with most answers, most first, ties by author id;
// limit is 1 to [MaxLimit]. It costs the same however many authors there are.
func (s *Store) Top(ctx context.Context, limit int) ([]Author, error) {
	if limit < 1 || limit > MaxLimit {
		return nil, fmt.Errorf("leaderboard: limit %d is not from 1 to %d", limit, MaxLimit)
	}
	rows, err := s.top.QueryContext(ctx, limit)
	if err != nil {
		return nil, fmt.Errorf("leaderboard: reading authors: %w", err)
	}
	defer rows.Close()
	authors := []Author{}
	for rows.Next() {
		var a Author
		if err := rows.Scan(&a.AuthorID, &a.Answers); err != nil {
			return nil, fmt.Errorf("leaderboard: reading authors: %w", err)
		}
		authors = append(authors, a)
	}
	if err := rows.Err(); err != nil {
		return nil, fmt.Errorf("leaderboard: reading authors: %w", err)
	}
	return authors, nil
}
