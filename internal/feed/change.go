package feed

import (
	"cmp"
	"maps"
	"slices"
	"time"

	"github.com/answerfeed/answerfeed/app/event"
)

// change is what one event says: the state of one register. Its question is
// touched in any case.
type change struct {
	questionID string
	question   question
	answerID   string // "": says nothing of an answer
	answer     answer
}

func questionAdded(e event.QuestionAdded) change {
	at := micros(e.OccurredAt)
	return change{questionID: e.QuestionID, question: question{
		known: true, askedAt: at, version: e.Version(),
		title: e.Title, excerpt: e.Excerpt, subject: e.Subject, grade: e.Grade, authorID: e.AuthorID,
	}}
}

func answerAdded(e event.AnswerAdded) change {
	at := micros(e.OccurredAt)
	return change{questionID: e.QuestionID, answerID: e.AnswerID, answer: answer{
		life: live, answeredAt: at, version: e.Version(),
		authorID: e.AuthorID, excerpt: e.Excerpt,
	}}
}

func answerRemoved(e event.AnswerRemoved) change {
	return change{questionID: e.QuestionID, answerID: e.AnswerID, answer: answer{life: removed}}
}

// Times are kept as microseconds since 1970, UTC.
func micros(t time.Time) int64   { return t.UnixMicro() }
func instant(us int64) time.Time { return time.UnixMicro(us).UTC() }

// row is a question's row: its register, and the tally of its answers. Of a
// stored one the texts are not read but for the subject: the latest version
// is written whole, and of an earlier one nothing but the time of asking.
type row struct {
	stored bool // in the table
	question
	tally
}

// questionEdit is what a batch does to a question.
type questionEdit struct {
	id            string
	said          question // by the batch
	before, after row
	held          row // by the table, when after is written
}

// answerEdit is what a batch does to an answer.
type answerEdit struct {
	of            *questionEdit
	id            string
	said          answer // by the batch
	before, after answer
}

// batch is many changes collapsed by key. Questions are in the order of id,
// answers in that of question and id: the order in which rows are locked.
type batch struct {
	questions []*questionEdit
	answers   []*answerEdit
}

func collapse(changes []change) batch {
	type key struct{ question, answer string }
	questions := make(map[string]*questionEdit, len(changes))
	answers := make(map[key]*answerEdit, len(changes))
	for _, c := range changes {
		q := questions[c.questionID]
		if q == nil {
			q = &questionEdit{id: c.questionID}
			questions[c.questionID] = q
		}
		q.said = q.said.merge(c.question)
		if c.answerID == "" {
			continue
		}
		k := key{c.questionID, c.answerID}
		a := answers[k]
		if a == nil {
			a = &answerEdit{of: q, id: c.answerID}
			answers[k] = a
		}
		a.said = a.said.merge(c.answer)
	}
	return batch{
		questions: slices.SortedFunc(maps.Values(questions), func(a, b *questionEdit) int {
			return cmp.Compare(a.id, b.id)
		}),
		answers: slices.SortedFunc(maps.Values(answers), func(a, b *answerEdit) int {
			return cmp.Or(cmp.Compare(a.of.id, b.of.id), cmp.Compare(a.id, b.id))
		}),
	}
}

// merge computes every after from before and what the batch said.
func (b batch) merge() {
	for _, q := range b.questions {
		q.after = q.before
		q.after.stored = true
		q.after.question = q.before.question.merge(q.said)
	}
	for _, a := range b.answers {
		a.after = a.before.merge(a.said)
		a.of.after.tally.replace(a.id, a.before, a.after)
	}
}
