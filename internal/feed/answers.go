package feed

import (
	"context"
	"database/sql"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"time"
	"unicode/utf8"
)

// MaxAnswers is the most answers on a page.
const MaxAnswers = 1000

// Answer is an answer to a question.
type Answer struct {
	AnswerID   string    `json:"answer_id"`
	AuthorID   string    `json:"author_id"`   // "" when not told
	Excerpt    string    `json:"excerpt"`     // "" when not told
	AnsweredAt time.Time `json:"answered_at"` // UTC, microseconds
}

// AnswerFilter says which page of a question's answers to read.
type AnswerFilter struct {
	Newest bool   // first; else the oldest first. A cursor decides for itself
	Limit  int    // 1 to MaxAnswers
	Cursor string // AnswerPage.NextCursor of the page before; "" = the beginning
}

// AnswerPage is one page of a question's answers.
type AnswerPage struct {
	Answers []Answer // never nil; those of the same microsecond by id
	Newest  bool     // the newest first
	// First counts the first answer of the page from 1, in the order of the pages, as it was when the page before was read.
	First      int
	NextCursor string // "" on the last page
}

const (
	answersOf = `
SELECT answer_id, author_id, excerpt, answered_at FROM answers WHERE question_id = $1 AND NOT removed AND `
	oldestAnswers = answersOf + `(answered_at, answer_id) > ($2, $3) ORDER BY answered_at, answer_id LIMIT $4`
	newestAnswers = answersOf + `(answered_at, answer_id) < ($2, $3) ORDER BY answered_at DESC, answer_id DESC LIMIT $4`
)

// Question returns one question and its answers, oldest first, at most [MaxAnswers]. It returns [ErrNotFound], also while only answers are
// known of the question.
func (s *Store) Question(ctx context.Context, id string) (Item, []Answer, error) {
	item, page, err := s.Answers(ctx, id, AnswerFilter{Limit: MaxAnswers})
	return item, page.Answers, err
}

// Answers returns one question and a page of its answers, both as of one moment. It costs the same however many answers there are and
// however deep the page lies. Its errors are those of Question, and [ErrBadCursor].
func (s *Store) Answers(ctx context.Context, id string, f AnswerFilter) (Item, AnswerPage, error) {
	if f.Limit < 1 || f.Limit > MaxAnswers {
		return Item{}, AnswerPage{}, fmt.Errorf("feed: limit %d is not from 1 to %d", f.Limit, MaxAnswers)
	}
	from := answerPosition{newest: f.Newest, at: math.MinInt64}
	if f.Newest {
		from.at = math.MaxInt64
	}
	if f.Cursor != "" {
		var err error
		if from, err = parseAnswerPosition(f.Cursor); err != nil {
			return Item{}, AnswerPage{}, fmt.Errorf("feed: %w", err)
		}
	}
	tx, err := s.db.Read().BeginTx(ctx, &sql.TxOptions{ReadOnly: true, Isolation: sql.LevelRepeatableRead})
	if err != nil {
		return Item{}, AnswerPage{}, fmt.Errorf("feed: reading a question: %w", err)
	}
	defer tx.Rollback() //nolint:errcheck // nothing was written
	item, err := scanItem(tx.StmtContext(ctx, s.reading.question).QueryRowContext(ctx, id).Scan)
	if errors.Is(err, sql.ErrNoRows) {
		return Item{}, AnswerPage{}, ErrNotFound
	}
	if err != nil {
		return Item{}, AnswerPage{}, fmt.Errorf("feed: reading a question: %w", err)
	}
	stmt := s.reading.oldest
	if from.newest {
		stmt = s.reading.newest
	}
	// One more than asked for tells whether there is a next page.
	rows, err := tx.StmtContext(ctx, stmt).QueryContext(ctx, id, from.at, from.id, f.Limit+1)
	answers, err := collect(rows, err, func(scan func(...any) error) (a Answer, err error) {
		var at int64
		err = scan(&a.AnswerID, &a.AuthorID, &a.Excerpt, &at)
		a.AnsweredAt = instant(at)
		return a, err
	})
	if err != nil {
		return Item{}, AnswerPage{}, fmt.Errorf("feed: reading answers: %w", err)
	}
	page := AnswerPage{Answers: answers, Newest: from.newest, First: from.before + 1}
	if len(answers) > f.Limit {
		page.Answers = answers[:f.Limit]
		last := answers[f.Limit-1]
		page.NextCursor = answerPosition{from.newest, from.before + f.Limit, micros(last.AnsweredAt), last.AnswerID}.text()
	}
	return item, page, nil
}

// answerPosition is a place in the order of a question's answers: behind the answer of this time and id, and so many before.
type answerPosition struct {
	newest bool
	before int
	at     int64
	id     string
}

// A cursor of answers begins with its version, which no cursor of questions has. Then follow the order, how many answers are before, the
// time in microseconds, both of eight bytes, big-endian, and the answer's id.
const (
	answerCursorVersion = 2
	answerCursorHeader  = 1 + 1 + 8 + 8
)

// text is the position as an opaque cursor, in unpadded base64url.
func (p answerPosition) text() string {
	b := []byte{answerCursorVersion, 0}
	if p.newest {
		b[1] = 1
	}
	b = binary.BigEndian.AppendUint64(b, uint64(p.before))
	b = binary.BigEndian.AppendUint64(b, uint64(p.at))
	return base64.RawURLEncoding.EncodeToString(append(b, p.id...))
}

func parseAnswerPosition(cursor string) (answerPosition, error) {
	b, err := base64.RawURLEncoding.DecodeString(cursor)
	if err != nil || len(b) <= answerCursorHeader || len(b) > answerCursorHeader+maxID || b[0] != answerCursorVersion || !utf8.Valid(b[answerCursorHeader:]) {
		return answerPosition{}, fmt.Errorf("%w: not of a question's answers", ErrBadCursor)
	}
	before := binary.BigEndian.Uint64(b[2:])
	p := answerPosition{b[1] == 1, int(before), int64(binary.BigEndian.Uint64(b[10:])), string(b[answerCursorHeader:])}
	if p.text() != cursor || before > math.MaxInt32 {
		return answerPosition{}, fmt.Errorf("%w: not of a question's answers", ErrBadCursor)
	}
	return p, nil
}
