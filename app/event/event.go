// Package event holds the wire contract: the events that producers publish and handlers receive, and what makes one valid.
//
// It is for handlers, for the worker's own producers, and for tools that check a message before it goes out. A payload is one
// JSON object with string members. Decoding is strict about what the contract names and silent about everything else: keys match
// in exact case, unknown members are passed over, null counts as absent, and of a repeated key the last one wins. A byte order mark before
// the object is passed over.
//
// The one thing to know: an event that decodes without error satisfies the whole contract, so that code behind a Decode function
// never checks a field again.
package event

import "time"

// The topics of version 1. Within a version only optional fields are added; a break is a new topic.
const (
	TopicQuestionAdded = "question-added"
	TopicAnswerAdded   = "answer-added"
	TopicAnswerRemoved = "answer-removed"
)

// The limits of a message, in bytes.
const (
	MaxPayload     = 1 << 20  // one payload
	MaxMetadata    = 32 << 10 // all keys and values of one message's metadata together
	MaxMetadataKey = 128      // one metadata key
)

// Digest decides between two versions of one time. It is the SHA-256 of the payload as it came, byte for byte but for a byte order mark; of an event with CopiedAt
// it is that time and a part of the SHA-256, so that the later copy counts.
type Digest [32]byte

// QuestionAdded says that a question was asked, or that its text changed: the later event of one QuestionID replaces the earlier. An
// event that has EditedAt says both at once.
type QuestionAdded struct {
	QuestionID string    // 1 to 128 bytes
	Title      string    // plain text, to 300 characters
	Excerpt    string    // plain text, to 1,000 characters; "" when absent
	Subject    string    // 1 to 64 characters
	Grade      string    // 1 to 64 characters
	AuthorID   string    // 1 to 128 bytes; "" when the author is unknown
	OccurredAt time.Time // UTC, whole microseconds
	EditedAt   time.Time // when the text last changed, UTC, whole microseconds; zero: at OccurredAt
	CopiedAt   time.Time // when the text was copied from where it is kept, UTC, whole microseconds; zero: it is no copy
	EventID    string    // 1 to 128 bytes; "" when the producer set none
	Digest     Digest    // set by decoding, passed over by Encode
}

// AnswerAdded says that a question was answered, or that the answer's text changed. It may arrive before its question.
type AnswerAdded struct {
	AnswerID   string    // 1 to 128 bytes, unique within its question
	QuestionID string    // 1 to 128 bytes
	AuthorID   string    // 1 to 128 bytes; "" when the author is unknown
	Excerpt    string    // plain text, to 1,000 characters; "" when absent
	OccurredAt time.Time // UTC, whole microseconds
	EditedAt   time.Time // when the text last changed, UTC, whole microseconds; zero: at OccurredAt
	CopiedAt   time.Time // when the text was copied from where it is kept, UTC, whole microseconds; zero: it is no copy
	EventID    string    // 1 to 128 bytes; "" when the producer set none
	Digest     Digest    // set by decoding, passed over by Encode
}

// AnswerRemoved is the compensating event of AnswerAdded: moderation refused the answer, or its author took it back. It is final
// for that answer, whatever the order of arrival.
type AnswerRemoved struct {
	AnswerID   string    // 1 to 128 bytes
	QuestionID string    // 1 to 128 bytes
	Reason     string    // free text, bounded by the payload alone; "" when absent
	OccurredAt time.Time // UTC, whole microseconds
	EventID    string    // 1 to 128 bytes; "" when the producer set none
	Digest     Digest    // set by decoding, passed over by Encode
}

// The tables below are the contract in code, one line a member, in the order in which Encode writes them. Decoding, encoding and
// validation all go by them, so that they cannot disagree.

func (e *QuestionAdded) fields() []field {
	return []field{
		{name: "question_id", kind: identifier, required: true, text: &e.QuestionID},
		{name: "title", kind: title, required: true, text: &e.Title},
		{name: "excerpt", kind: excerpt, text: &e.Excerpt},
		{name: "subject", kind: label, required: true, text: &e.Subject},
		{name: "grade", kind: label, required: true, text: &e.Grade},
		{name: "author_id", kind: identifier, text: &e.AuthorID},
		{name: "occurred_at", kind: moment, required: true, time: &e.OccurredAt},
		{name: "edited_at", kind: moment, time: &e.EditedAt},
		{name: "copied_at", kind: moment, time: &e.CopiedAt},
		{name: keyEventID, kind: identifier, text: &e.EventID},
	}
}

func (e *AnswerAdded) fields() []field {
	return []field{
		{name: "answer_id", kind: identifier, required: true, text: &e.AnswerID},
		{name: "question_id", kind: identifier, required: true, text: &e.QuestionID},
		{name: "author_id", kind: identifier, text: &e.AuthorID},
		{name: "excerpt", kind: excerpt, text: &e.Excerpt},
		{name: "occurred_at", kind: moment, required: true, time: &e.OccurredAt},
		{name: "edited_at", kind: moment, time: &e.EditedAt},
		{name: "copied_at", kind: moment, time: &e.CopiedAt},
		{name: keyEventID, kind: identifier, text: &e.EventID},
	}
}

func (e *AnswerRemoved) fields() []field {
	return []field{
		{name: "answer_id", kind: identifier, required: true, text: &e.AnswerID},
		{name: "question_id", kind: identifier, required: true, text: &e.QuestionID},
		{name: "reason", kind: prose, text: &e.Reason},
		{name: "occurred_at", kind: moment, required: true, time: &e.OccurredAt},
		{name: keyEventID, kind: identifier, text: &e.EventID},
	}
}
