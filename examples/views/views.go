package main

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"time"
	"unicode/utf8"

	"github.com/answerfeed/answerfeed/app"
	"github.com/answerfeed/answerfeed/app/database"
	"github.com/answerfeed/answerfeed/app/failure"
	"github.com/answerfeed/answerfeed/handlers"
)

// TopicQuestionViewed is where the site publishes one event a view.
const TopicQuestionViewed = "question-viewed"

// QuestionViewed says that somebody looked at a question.
type QuestionViewed struct {
	ViewID     string    `json:"view_id"`     // 1 to 128 bytes, one for each view
	QuestionID string    `json:"question_id"` // 1 to 128 bytes
	Bot        bool      `json:"bot"`         // absent = false
	OccurredAt time.Time `json:"occurred_at"` // RFC 3339
}

// Decode reads a payload. Its errors are permanent, since a payload does not
// change when it comes again, and hold no part of it.
func Decode(payload []byte) (QuestionViewed, error) {
	var e QuestionViewed
	if !utf8.Valid(payload) || json.Unmarshal(payload, &e) != nil { // json's own errors may quote the payload
		return e, failure.Permanent(failure.Malformed, errors.New("not a JSON object with the fields of question-viewed"))
	}
	switch {
	case !validID(e.ViewID):
		return e, failure.Permanent(failure.Invalid, errors.New("view_id: it must be 1 to 128 bytes"))
	case !validID(e.QuestionID):
		return e, failure.Permanent(failure.Invalid, errors.New("question_id: it must be 1 to 128 bytes"))
	case e.OccurredAt.IsZero():
		return e, failure.Permanent(failure.Invalid, errors.New("occurred_at: it is missing"))
	}
	return e, nil
}

func validID(id string) bool { return len(id) >= 1 && len(id) <= 128 }

// Options are the handler's own settings: handlers.views.options.
type Options struct {
	// IgnoreBots leaves out the views of bots. Defaults to true.
	IgnoreBots bool `yaml:"ignore_bots"`
}

// Views counts each view once.
func Views() handlers.Handler {
	return handlers.Handler{
		Name:    "views",
		Options: &Options{IgnoreBots: true},
		Migrate: createTable,
		Topics: func(e handlers.Env) []handlers.Topic {
			c := counter{db: e.DB, options: *e.Options.(*Options)}
			return []handlers.Topic{app.On(TopicQuestionViewed, Decode, c.viewed)}
		},
	}
}

type counter struct {
	db      *database.DB
	options Options
}

// viewed raises a counter, which must not happen again when the same view
// comes again; hence the inbox. That it goes by the view's own id, and not by
// the message's, also covers a site that publishes a view in two messages.
// Order does not matter to a sum.
func (c counter) viewed(ctx context.Context, e QuestionViewed) error {
	if e.Bot && c.options.IgnoreBots {
		return nil
	}
	err := c.db.Once(ctx, "views", TopicQuestionViewed, e.ViewID, func(ctx context.Context, tx *sql.Tx) error {
		_, err := tx.ExecContext(ctx, c.db.SQL(countView), e.QuestionID)
		return err
	})
	if err != nil {
		return fmt.Errorf("counting a view: %w", err) // package failure knows a database that is away by its error
	}
	return nil
}
