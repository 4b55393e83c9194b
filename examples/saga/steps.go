package main

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"time"

	"github.com/answerfeed/answerfeed/app"
	"github.com/answerfeed/answerfeed/app/database"
	"github.com/answerfeed/answerfeed/app/event"
	"github.com/answerfeed/answerfeed/app/outbox"
	"github.com/answerfeed/answerfeed/handlers"
)

// moderationOptions are handlers.moderation.options: words, in small letters.
type moderationOptions struct {
	// Refuse are words that no answer may have. Defaults to spam.
	Refuse []string `yaml:"refuse"`
	// Silent are words that moderation never answers to: it stands for a service
	// that is away, or whose people are. Defaults to hmm.
	Silent []string `yaml:"silent"`
}

// sagaHandlers are the saga's three services.
func sagaHandlers(logger *slog.Logger) []handlers.Handler {
	in := func(e handlers.Env) steps { return steps{e.DB, logger} }
	return []handlers.Handler{
		{
			Name: "moderation", Options: &moderationOptions{Refuse: []string{"spam"}, Silent: []string{"hmm"}},
			Topics: func(e handlers.Env) []handlers.Topic {
				options := *e.Options.(*moderationOptions)
				judge := func(ctx context.Context, a event.AnswerAdded) error { return in(e).moderate(ctx, a, options) }
				return []handlers.Topic{app.On(event.TopicAnswerAdded, event.DecodeAnswerAdded, judge)}
			},
		},
		{
			Name: "decision",
			Topics: func(e handlers.Env) []handlers.Topic {
				return []handlers.Topic{
					app.On(topicModerated, decodeModerated, in(e).decide),
					app.On(event.TopicAnswerRemoved, event.DecodeAnswerRemoved, in(e).removed),
				}
			},
		},
		{
			Name: "points",
			Topics: func(e handlers.Env) []handlers.Topic {
				return []handlers.Topic{
					app.On(topicAccepted, decodeAccepted, in(e).grant),
					app.On(event.TopicAnswerRemoved, event.DecodeAnswerRemoved, in(e).takeBack),
				}
			},
		},
	}
}

// steps are the saga's steps on a database.
type steps struct {
	db     *database.DB
	logger *slog.Logger
}

// once is a step: fn in one transaction with the inbox's note of the message
// that ctx belongs to. What fn publishes has the message's correlation id.
func (s steps) once(ctx context.Context, fn func(ctx context.Context, tx *sql.Tx) error) error {
	m := event.MessageOf(ctx)
	if err := s.db.Once(ctx, m.Handler, m.Topic, m.Identity(), fn); err != nil {
		return fmt.Errorf("a step of the saga: %w", err) // package failure knows a database that is away by its error
	}
	return nil
}

// change runs a statement that changes one row, or none, and returns that row's
// author.
func (s steps) change(ctx context.Context, tx *sql.Tx, statement string, args ...any) (author string, changed bool, err error) {
	err = tx.QueryRowContext(ctx, s.db.SQL(statement), args...).Scan(&author)
	if errors.Is(err, sql.ErrNoRows) {
		return "", false, nil
	}
	return author, err == nil, err
}

// moderate judges an answer by its words.
func (s steps) moderate(ctx context.Context, e event.AnswerAdded, o moderationOptions) error {
	text := strings.ToLower(e.Excerpt)
	has := func(words []string) bool {
		for _, w := range words {
			if strings.Contains(text, w) {
				return true
			}
		}
		return false
	}
	if has(o.Silent) {
		s.logger.InfoContext(ctx, "moderation does not answer", "answer", e.AnswerID)
		return nil
	}
	verdict := moderated{
		AnswerID: e.AnswerID, QuestionID: e.QuestionID, Approved: !has(o.Refuse), OccurredAt: time.Now(), EventID: "moderated-" + e.AnswerID,
	}
	err := s.once(ctx, func(ctx context.Context, tx *sql.Tx) error { return outbox.Publish(ctx, tx, topicModerated, verdict) })
	if err == nil {
		s.logger.InfoContext(ctx, "answer moderated", "answer", e.AnswerID, "approved", verdict.Approved)
	}
	return err
}

// decide completes a saga, or begins to undo it. One that is not pending any
// more was decided before, and a verdict on what another site stored is nobody's.
func (s steps) decide(ctx context.Context, e moderated) error {
	var decided bool
	err := s.once(ctx, func(ctx context.Context, tx *sql.Tx) error {
		statement := acceptSaga
		if !e.Approved {
			statement = refuseSaga
		}
		author, changed, err := s.change(ctx, tx, statement, e.AnswerID, e.QuestionID)
		if decided = changed; err != nil || !changed {
			return err
		}
		if !e.Approved {
			return s.publishRemoved(ctx, tx, e.AnswerID, e.QuestionID, "refused by moderation")
		}
		return outbox.Publish(ctx, tx, topicAccepted, accepted{
			AnswerID: e.AnswerID, QuestionID: e.QuestionID, AuthorID: author, OccurredAt: time.Now(), EventID: "accepted-" + e.AnswerID,
		})
	})
	if err == nil && decided {
		s.logger.InfoContext(ctx, "answer decided", "answer", e.AnswerID, "accepted", e.Approved)
	}
	return err
}

// publishRemoved sends the compensating event. The event id is the same whoever
// sends it, since an answer is removed once.
func (s steps) publishRemoved(ctx context.Context, tx *sql.Tx, answer, question, reason string) error {
	return outbox.Publish(ctx, tx, event.TopicAnswerRemoved, event.AnswerRemoved{
		AnswerID: answer, QuestionID: question, Reason: reason, OccurredAt: time.Now(), EventID: "removed-" + answer,
	})
}

// removed ends a saga whose answer somebody else removed.
func (s steps) removed(ctx context.Context, e event.AnswerRemoved) error {
	return s.once(ctx, func(ctx context.Context, tx *sql.Tx) error {
		_, _, err := s.change(ctx, tx, takeSagaBack, e.AnswerID, e.QuestionID)
		return err
	})
}

// grant gives the author points, unless the answer was removed before.
func (s steps) grant(ctx context.Context, e accepted) error {
	var granted bool
	err := s.once(ctx, func(ctx context.Context, tx *sql.Tx) (err error) {
		if _, granted, err = s.change(ctx, tx, insertGrant, e.AnswerID, e.AuthorID); err != nil || !granted {
			return err
		}
		_, err = tx.ExecContext(ctx, s.db.SQL(addPoints), e.AuthorID, pointsEach)
		return err
	})
	if err == nil && granted {
		s.logger.InfoContext(ctx, "points granted", "answer", e.AnswerID, "points", pointsEach)
	}
	return err
}

// takeBack takes the points back, or sees to it that none will be given.
func (s steps) takeBack(ctx context.Context, e event.AnswerRemoved) error {
	var author string
	err := s.once(ctx, func(ctx context.Context, tx *sql.Tx) (err error) {
		if author, _, err = s.change(ctx, tx, endGrant, e.AnswerID); err != nil || author == "" {
			return err
		}
		_, err = tx.ExecContext(ctx, s.db.SQL(addPoints), author, -pointsEach)
		return err
	})
	if err == nil && author != "" {
		s.logger.InfoContext(ctx, "points taken back", "answer", e.AnswerID, "points", pointsEach)
	}
	return err
}
