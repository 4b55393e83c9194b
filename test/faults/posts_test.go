package faults

import (
	"cmp"
	"encoding/xml"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"time"

	"github.com/stretchr/testify/require"
)

// stackExchangeFile is a Stack Exchange Posts.xml, as far as it is looked at
// here. Its own AnswerCount and CreationDate are the truth.
type stackExchangeFile struct {
	XMLName xml.Name `xml:"posts"`
	Posts   []post   `xml:"row"`
}

type post struct {
	ID           int    `xml:"Id,attr"`
	PostTypeID   int    `xml:"PostTypeId,attr"`
	ParentID     int    `xml:"ParentId,attr,omitempty"`
	CreationDate string `xml:",attr"`
	Title        string `xml:",attr,omitempty"`
	Tags         string `xml:",attr,omitempty"`
	Body         string `xml:",attr"`
	OwnerUserID  string `xml:"OwnerUserId,attr,omitempty"`
	AnswerCount  int    `xml:",attr"`
}

func (p post) questionID() string { return fmt.Sprintf("q%d", p.ID) }
func (p post) answerID() string   { return fmt.Sprintf("a%d", p.ID) }

// invented has so many questions, and up to six answers to each: given at the
// same moment now and then, by authors who have left the site, and told in no
// order of their times.
func invented(questions int) stackExchangeFile {
	random := rand.New(rand.NewPCG(1, 0))
	var f stackExchangeFile
	add := func(p post) {
		p.ID = len(f.Posts) + 1
		f.Posts = append(f.Posts, p)
	}
	at := func(second int) string {
		return epoch.Add(time.Duration(second) * time.Second).Format("2006-01-02T15:04:05.000")
	}
	for q := range questions {
		asked := q / 2 * 60 // two at a time
		question := post{
			PostTypeID: 1, CreationDate: at(asked), Title: fmt.Sprintf("Why is %d < π·%d & “so”?", q, q),
			Body: "<p>I wonder.</p>", OwnerUserID: "1", AnswerCount: max(0, random.IntN(9)-2),
		}
		if q%11 != 0 {
			question.Tags = fmt.Sprintf("<tag-%d><more>", q%7)
		}
		add(question)
		id := len(f.Posts)
		for range question.AnswerCount {
			answer := post{PostTypeID: 2, ParentID: id, CreationDate: at(asked + random.IntN(5)), Body: "<p>Because.</p>"}
			if author := random.IntN(50); author > 0 {
				answer.OwnerUserID = fmt.Sprint(author)
			}
			add(answer)
		}
		if q%20 == 0 {
			add(post{PostTypeID: 4, CreationDate: at(asked), Body: "about a tag"})
		}
	}
	return f
}

func (f stackExchangeFile) encode(t require.TestingT) []byte {
	text, err := xml.Marshal(f)
	require.NoError(t, err)
	return append([]byte(xml.Header), text...)
}

// matches requires of the worker's pages what follows from the file.
func (f stackExchangeFile) matches(t require.TestingT, w *worker) {
	var questions []post
	answers, scores := map[string][]post{}, map[string]int{}
	unanswered, subjects := map[string]bool{}, map[string]int{}
	for _, p := range f.Posts {
		switch p.PostTypeID {
		case 1:
			questions = append(questions, p)
			if p.AnswerCount == 0 {
				unanswered[p.questionID()] = true
			}
			tag, _, _ := strings.Cut(strings.TrimPrefix(p.Tags, "<"), ">")
			subjects[cmp.Or(tag, "?")]++
		case 2:
			id := fmt.Sprintf("q%d", p.ParentID)
			answers[id] = append(answers[id], p)
			if p.OwnerUserID != "" {
				scores[p.OwnerUserID]++
			}
		}
	}
	slices.SortFunc(questions, func(a, b post) int {
		return -cmp.Or(cmp.Compare(a.CreationDate, b.CreationDate), cmp.Compare(a.questionID(), b.questionID()))
	})

	items := w.feed(t, "")
	require.Equal(t, ids(questions, post.questionID), ids(items, item.id), "the order of the feed")
	for i, q := range questions {
		own := answers[q.questionID()]
		slices.SortFunc(own, func(a, b post) int {
			return cmp.Or(cmp.Compare(a.CreationDate, b.CreationDate), cmp.Compare(a.answerID(), b.answerID()))
		})
		want := item{QuestionID: q.questionID(), AskedAt: q.time(t), Answered: q.AnswerCount > 0, AnswerCount: q.AnswerCount}
		if len(own) > 0 {
			first, last := own[0].answerID(), own[len(own)-1].time(t)
			want.FirstAnswerID, want.LastAnswerAt = &first, &last
		}
		require.Equal(t, want, items[i])
	}
	for _, i := range w.feed(t, "answered=false") {
		require.True(t, unanswered[i.QuestionID], i.QuestionID)
		delete(unanswered, i.QuestionID)
	}
	require.Empty(t, unanswered, "the filter answered=false")
	require.Equal(t, subjects, w.subjects(t))
	require.Equal(t, scores, w.leaderboard(t))
	w.noLetters(t)
}

func ids[T any](all []T, id func(T) string) []string {
	var list []string
	for _, e := range all {
		list = append(list, id(e))
	}
	return list
}

func (i item) id() string { return i.QuestionID }

func (p post) time(t require.TestingT) time.Time {
	at, err := time.Parse("2006-01-02T15:04:05.000", p.CreationDate)
	require.NoError(t, err)
	return at
}
