package main

import (
	"encoding/json"
	"errors"
	"time"
	"unicode/utf8"

	"github.com/answerfeed/answerfeed/app/failure"
)

// The saga's own topics, beside answer-added and answer-removed.
const (
	topicModerated = "answer-moderated"
	topicAccepted  = "answer-accepted"
)

// moderated is what moderation thinks of an answer.
type moderated struct {
	AnswerID   string    `json:"answer_id"`
	QuestionID string    `json:"question_id"`
	Approved   bool      `json:"approved"`
	OccurredAt time.Time `json:"occurred_at"`
	EventID    string    `json:"event_id"`
}

// accepted says that an answer stays, and earns its author points.
type accepted struct {
	AnswerID   string    `json:"answer_id"`
	QuestionID string    `json:"question_id"`
	AuthorID   string    `json:"author_id"`
	OccurredAt time.Time `json:"occurred_at"`
	EventID    string    `json:"event_id"`
}

// Encode makes it an event of the outbox.
func (e moderated) Encode() ([]byte, error) { return json.Marshal(e) }

// Encode makes it an event of the outbox.
func (e accepted) Encode() ([]byte, error) { return json.Marshal(e) }

func decodeModerated(payload []byte) (e moderated, err error) {
	err = decode(payload, &e, func() []string { return []string{e.AnswerID, e.QuestionID} })
	return e, err
}

func decodeAccepted(payload []byte) (e accepted, err error) {
	err = decode(payload, &e, func() []string { return []string{e.AnswerID, e.QuestionID, e.AuthorID} })
	return e, err
}

// decode reads a payload. Its errors are permanent, since a payload does not
// change when it comes again, and hold no part of it.
func decode(payload []byte, e any, ids func() []string) error {
	if !utf8.Valid(payload) || json.Unmarshal(payload, e) != nil { // json's own errors may quote the payload
		return failure.Permanent(failure.Malformed, errors.New("not a JSON object with the fields of its topic"))
	}
	for _, id := range ids() {
		if len(id) < 1 || len(id) > 128 {
			return failure.Permanent(failure.Invalid, errors.New("each id must be 1 to 128 bytes"))
		}
	}
	return nil
}
