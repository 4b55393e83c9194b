package feed

import (
	"context"
	"errors"
	"fmt"

	"github.com/answerfeed/answerfeed/app/database"
	"github.com/answerfeed/answerfeed/app/event"
)

// batchSize is the most events that share one commit.
const batchSize = 512

// Store is the feed's tables in a database. It is safe for concurrent use;
// several Stores, in one process or in many, may work on one database. What
// it is given must have been decoded by package event, which sees to ids of
// valid UTF-8 and sets the digest.
type Store struct {
	db         *database.DB
	toWrite    *database.Statements
	toRead     *database.Statements
	writing    writing
	reading    reading
	committing *database.Batcher[change]
}

// New prepares a Store on tables that [database.DB.Migrate] has made. d is
// what a commit must survive before an event counts as taken in.
func New(db *database.DB, d database.Durability) (*Store, error) {
	s := &Store{
		db:      db,
		toWrite: db.ToWrite(),
		toRead:  db.ToRead(),
	}
	s.writing = prepareWriting(s.toWrite, db.Driver())
	s.reading = prepareReading(s.toRead, db.Driver())
	if err := errors.Join(s.toWrite.Err(), s.toRead.Err()); err != nil {
		s.toWrite.Close()
		s.toRead.Close()
		return nil, fmt.Errorf("feed: %w", err)
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

// QuestionAdded takes a question in, or a later version of one. It returns
// when that is committed.
func (s *Store) QuestionAdded(ctx context.Context, e event.QuestionAdded) error {
	return s.committing.Do(ctx, questionAdded(e))
}

// AnswerAdded takes an answer in, or a later version of one; its question may
// come later. An answer that was removed stays so. It returns when that is
// committed.
func (s *Store) AnswerAdded(ctx context.Context, e event.AnswerAdded) error {
	return s.committing.Do(ctx, answerAdded(e))
}

// AnswerRemoved takes an answer away for ever, though it be added later. It
// returns when that is committed.
func (s *Store) AnswerRemoved(ctx context.Context, e event.AnswerRemoved) error {
	return s.committing.Do(ctx, answerRemoved(e))
}
