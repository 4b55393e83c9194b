package importer

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/xml"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/answerfeed/answerfeed/app/event"
)

// noSubject stands for the subject of a question without tags.
const noSubject = "?"

// The limits of the contract, in characters, to which longer texts are cut.
const (
	maxTitle   = 300
	maxExcerpt = 1000
	maxSubject = 64
)

// post holds the attributes of a <row> that events are made of, as they stand in the file; "" when absent.
type post struct {
	kind, id, parent, owner, created, edited, title, tags, body string
}

func newPost(attributes []xml.Attr) *post {
	p := &post{}
	for _, a := range attributes {
		switch a.Name.Local {
		case "PostTypeId":
			p.kind = a.Value
		case "Id":
			p.id = a.Value
		case "ParentId":
			p.parent = a.Value
		case "OwnerUserId":
			p.owner = a.Value
		case "CreationDate":
			p.created = a.Value
		case "LastEditDate":
			p.edited = a.Value
		case "Title":
			p.title = a.Value
		case "Tags":
			p.tags = a.Value
		case "Body":
			p.body = a.Value
		}
	}
	return p
}

func (p *post) question(o Options) (Event, error) {
	at, edited, err := p.check()
	if err != nil {
		return Event{}, err
	}
	heading := cut(fold(p.title, maxTitle), maxTitle)
	if heading == "" {
		return Event{}, errors.New("attribute Title: missing")
	}
	tags := tagNames(p.tags)
	question := event.QuestionAdded{
		QuestionID: o.id("q" + p.id),
		Title:      heading,
		Excerpt:    excerpt(p.body),
		Subject:    subject(tags, o),
		Grade:      grade(tags, o),
		AuthorID:   o.id(p.owner),
		OccurredAt: at,
		EditedAt:   edited,
	}
	question.EventID = o.eventID("question", p.id, edited, question.Title, question.Excerpt, question.Subject, question.Grade)
	question.CopiedAt = o.CopiedAt
	payload, err := question.Encode()
	if err != nil {
		return Event{}, fmt.Errorf("encode question: %w", err)
	}
	return Event{Topic: event.TopicQuestionAdded, Payload: payload, ID: question.EventID}, nil
}

func (p *post) answer(o Options) (Event, error) {
	at, edited, err := p.check()
	if err != nil {
		return Event{}, err
	}
	if !isNumber(p.parent) {
		return Event{}, errors.New("attribute ParentId: missing or not a number")
	}
	answer := event.AnswerAdded{
		AnswerID:   o.id("a" + p.id),
		QuestionID: o.id("q" + p.parent),
		AuthorID:   o.id(p.owner),
		Excerpt:    excerpt(p.body),
		OccurredAt: at,
		EditedAt:   edited,
	}
	answer.EventID = o.eventID("answer", p.id, edited, answer.Excerpt)
	answer.CopiedAt = o.CopiedAt
	payload, err := answer.Encode()
	if err != nil {
		return Event{}, fmt.Errorf("encode answer: %w", err)
	}
	return Event{Topic: event.TopicAnswerAdded, Payload: payload, ID: answer.EventID}, nil
}

// check judges what questions and answers share, and returns when the post was written and last edited: zero if never.
func (p *post) check() (at, edited time.Time, err error) {
	if !isNumber(p.id) {
		return at, edited, errors.New("attribute Id: missing or not a number")
	}
	if at, err = moment(p.created); err != nil {
		return at, edited, errors.New("attribute CreationDate: missing or not a time") // err quotes the file
	}
	if p.edited == "" {
		return at, edited, nil
	}
	if edited, err = moment(p.edited); err != nil {
		return at, edited, errors.New("attribute LastEditDate: not a time")
	}
	return at, edited, nil
}

// moment reads a date of the dump, which has no zone: it is UTC.
func moment(text string) (time.Time, error) {
	return time.Parse("2006-01-02T15:04:05", text) // takes decimals too
}

// id is that of a post or author, in the site's name.
func (o Options) id(of string) string {
	if o.Site == "" || of == "" {
		return of
	}
	return o.Site + "/" + of
}

// eventID names a version of a post, the same at every import of it. An edit is another event: its date is in the name, and a part of the
// hash of its text, since a site may change a text without a new date.
func (o Options) eventID(kind, post string, edited time.Time, texts ...string) string {
	id := "se-" + kind + "-" + post
	if o.Site != "" {
		id = "se-" + o.Site + "-" + kind + "-" + post
	}
	if edited.IsZero() {
		return id
	}
	sum := sha256.Sum256([]byte(strings.Join(texts, "\x00")))
	return id + "-" + edited.Format("20060102T150405.000") + "-" + hex.EncodeToString(sum[:4])
}

func isNumber(s string) bool {
	return s != "" && strings.Trim(s, "0123456789") == ""
}

// tagNames splits both notations of the dumps: <a><b>, and since 2023 |a|b|.
func tagNames(tags string) []string {
	return strings.FieldsFunc(tags, func(r rune) bool { return r == '<' || r == '>' || r == '|' })
}

func subject(tags []string, o Options) string {
	switch {
	case o.Subject != "":
		return o.Subject
	case len(tags) == 0:
		return noSubject
	}
	return cut(tags[0], maxSubject)
}

func grade(tags []string, o Options) string {
	for _, tag := range tags {
		if g, ok := o.GradeTags[tag]; ok {
			return g
		}
	}
	return o.Grade
}
