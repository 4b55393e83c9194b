package feed

import (
	"context"
	"database/sql"
	"fmt"
	"strconv"
	"time"
)

// MaxLimit is the most items on a page.
const MaxLimit = 100

// Filter says which page of which questions to list.
type Filter struct {
	Subject  string // "" = any
	Grade    string // "" = any
	Answered *bool  // nil = any
	Limit    int    // 1 to MaxLimit
	Cursor   string // Page.NextCursor of the page before; "" = the newest
}

// Item is a question as the feed shows it.
type Item struct {
	QuestionID    string     `json:"question_id"`
	Title         string     `json:"title"`
	Excerpt       string     `json:"excerpt"` // "" when not told
	Subject       string     `json:"subject"`
	Grade         string     `json:"grade"`
	AuthorID      string     `json:"author_id"` // "" when not told
	AskedAt       time.Time  `json:"asked_at"`  // UTC, microseconds
	Answered      bool       `json:"answered"`
	AnswerCount   int        `json:"answer_count"`
	FirstAnswerID string     `json:"first_answer_id"` // "" without answers
	LastAnswerAt  *time.Time `json:"last_answer_at"`  // UTC; nil without answers
}

// Page is one page of the feed.
type Page struct {
	Items      []Item `json:"items"`                 // never nil
	NextCursor string `json:"next_cursor,omitempty"` // "" on the last page
}

// List returns questions, newest first, those of the same microsecond by id
// descending. It costs the same however many questions there are and however
// deep the page lies. Questions that arrive in the meantime neither repeat
// nor hide any on later pages. It returns [ErrBadCursor].
func (s *Store) List(ctx context.Context, f Filter) (Page, error) {
	if f.Limit < 1 || f.Limit > MaxLimit {
		return Page{}, fmt.Errorf("feed: limit %d is not from 1 to %d", f.Limit, MaxLimit)
	}
	behind := newest()
	if f.Cursor != "" {
		var err error
		if behind, err = parsePosition(f.Cursor); err != nil {
			return Page{}, fmt.Errorf("feed: %w", err)
		}
	}
	// One more than asked for tells whether there is a next page.
	rows, err := s.reading.list[f.shape()].QueryContext(ctx, f.values(behind, f.Limit+1)...)
	items, err := collect(rows, err, scanItem)
	if err != nil {
		return Page{}, fmt.Errorf("feed: listing questions: %w", err)
	}
	page := Page{Items: items}
	if len(items) > f.Limit {
		last := items[f.Limit-1]
		page.Items = items[:f.Limit]
		page.NextCursor = position{micros(last.AskedAt), last.QuestionID}.text()
	}
	return page, nil
}

// shape is which filters are set: each shape has a statement of its own, and
// an index that answers it.
type shape struct{ subject, grade, answered bool }

func shapes() []shape {
	var all []shape
	for i := range 8 {
		all = append(all, shape{i&1 != 0, i&2 != 0, i&4 != 0})
	}
	return all
}

func (f Filter) shape() shape { return shape{f.Subject != "", f.Grade != "", f.Answered != nil} }

// values are the placeholders' values for the query of f's shape.
func (f Filter) values(behind position, limit int) []any {
	values := []any{behind.askedAt, behind.id, limit}
	if f.Subject != "" {
		values = append(values, f.Subject)
	}
	if f.Grade != "" {
		values = append(values, f.Grade)
	}
	if f.Answered != nil {
		values = append(values, *f.Answered)
	}
	return values
}

const itemColumns = `question_id, title, excerpt, subject, grade, author_id, asked_at, answered, answer_count, first_answer_id, last_answer_at`

// query is the shape's statement. $1 and $2 are the position, $3 the limit,
// the filters follow. Every index has answered before the time, so a shape
// that leaves answered open merges two runs of its index; indexes without
// answered would do too, but every question would have twice as many to write.
func (sh shape) query(driver string) string {
	index, where, arg := "questions_newest", "", 3
	filter := func(column string) {
		arg++
		where += column + " = $" + strconv.Itoa(arg) + " AND "
	}
	switch {
	case sh.subject && sh.grade:
		index += "_in_subject_grade"
	case sh.subject:
		index += "_in_subject"
	case sh.grade:
		index += "_in_grade"
	}
	if sh.subject {
		filter("subject")
	}
	if sh.grade {
		filter("grade")
	}
	const order = ` ORDER BY asked_at DESC, question_id DESC LIMIT `
	run := func(answered string) string {
		return among(driver, `SELECT `+itemColumns+` FROM questions`+by(driver, index)+` WHERE `+where+answered+
			`asked_at IS NOT NULL AND (asked_at, question_id) < ($1, $2)`, order)
	}
	if sh.answered {
		filter("answered")
		return run("") + order + `$3`
	}
	return run("answered = FALSE AND ") + " UNION ALL " + run("answered = TRUE AND ") + order + `$3`
}

func scanItem(scan func(...any) error) (Item, error) {
	var i Item
	var asked int64
	var last sql.NullInt64
	err := scan(&i.QuestionID, &i.Title, &i.Excerpt, &i.Subject, &i.Grade, &i.AuthorID, &asked,
		&i.Answered, &i.AnswerCount, &i.FirstAnswerID, &last)
	if err != nil {
		return Item{}, err
	}
	i.AskedAt = instant(asked)
	if last.Valid {
		at := instant(last.Int64)
		i.LastAnswerAt = &at
	}
	return i, nil
}
