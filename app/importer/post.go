package importer

import (
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
	kind, id, parent, owner, created, title, tags, body string
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
	at, err := p.check()
	if err != nil {
		return Event{}, err
	}
	heading := cut(fold(p.title, maxTitle), maxTitle)
	if heading == "" {
		return Event{}, errors.New("attribute Title: missing")
	}
	tags := tagNames(p.tags)
	question := event.QuestionAdded{
		QuestionID: "q" + p.id,
		Title:      heading,
		Excerpt:    excerpt(p.body),
		Subject:    subject(tags, o),
		Grade:      grade(tags, o),
		AuthorID:   p.owner,
		OccurredAt: at,
		EventID:    "se-question-" + p.id,
	}
	payload, err := question.Encode()
	if err != nil {
		return Event{}, fmt.Errorf("encode question: %w", err)
	}
	return Event{Topic: event.TopicQuestionAdded, Payload: payload, ID: question.EventID}, nil
}

func (p *post) answer() (Event, error) {
	at, err := p.check()
	if err != nil {
		return Event{}, err
	}
	if !isNumber(p.parent) {
		return Event{}, errors.New("attribute ParentId: missing or not a number")
	}
	answer := event.AnswerAdded{
		AnswerID:   "a" + p.id,
		QuestionID: "q" + p.parent,
		AuthorID:   p.owner,
		Excerpt:    excerpt(p.body),
		OccurredAt: at,
		EventID:    "se-answer-" + p.id,
	}
	payload, err := answer.Encode()
	if err != nil {
		return Event{}, fmt.Errorf("encode answer: %w", err)
	}
	return Event{Topic: event.TopicAnswerAdded, Payload: payload, ID: answer.EventID}, nil
}

// check judges what questions and answers share, and returns the post's time. CreationDate has no zone: it is UTC.
func (p *post) check() (time.Time, error) {
	if !isNumber(p.id) {
		return time.Time{}, errors.New("attribute Id: missing or not a number")
	}
	at, err := time.Parse("2006-01-02T15:04:05", p.created) // takes decimals too
	if err != nil {
		return time.Time{}, errors.New("attribute CreationDate: missing or not a time") // err quotes the file
	}
	return at, nil
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
