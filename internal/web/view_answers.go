package web

import (
	"fmt"
	"net/url"
	"time"

	"github.com/answerfeed/answerfeed/internal/feed"
)

type questionPageView struct {
	Question questionView
	Heading  string // of the answers: which of them are shown, and in which order
	Answers  []answerView
	Other    linkView // the other order; no path: there is nothing to turn round
	First    string   // link, or "" on the first page
	Next     string   // link, or "" on the last page
	NextText string
	API      string
}

type linkView struct{ Path, Label string }

type answerView struct {
	Excerpt, AuthorID string
	At                moment
}

func viewAnswers(question feed.Item, page feed.AnswerPage, paged bool, now time.Time) questionPageView {
	v := questionPageView{
		Question: viewQuestions([]feed.Item{question}, now)[0],
		Answers:  make([]answerView, len(page.Answers)),
	}
	for n, a := range page.Answers {
		v.Answers[n] = answerView{Excerpt: a.Excerpt, AuthorID: a.AuthorID, At: momentOf(a.AnsweredAt, now)}
	}
	order, first, other, label, next := orderOldest, "", "?order="+orderNewest, "Newest first", "Later answers →"
	if page.Newest {
		order, first, other, label, next = orderNewest, "?order="+orderNewest, "", "Oldest first", "Earlier answers →"
	}
	v.API = "/api" + v.Question.Path + first
	v.Heading = answersHeading(page, question.AnswerCount, paged) + order + " first"
	if question.AnswerCount > 1 || paged {
		v.Other = linkView{v.Question.Path + other, label}
	}
	if paged {
		v.First = v.Question.Path + first
	}
	if page.NextCursor != "" {
		v.Next, v.NextText = v.Question.Path+"?"+url.Values{"order": {order}, "cursor": {page.NextCursor}}.Encode(), next
	}
	return v
}

// answersHeading says which answers of how many are shown. The page counts by where it was reached from, so that the last figure is never
// larger than the number of all, whatever was removed in the meantime.
func answersHeading(page feed.AnswerPage, all int, paged bool) string {
	shown := len(page.Answers)
	if !paged && page.NextCursor == "" {
		return answersInWords(all) + ", "
	}
	if shown == 0 {
		return "No more answers of " + grouped(all) + ", "
	}
	last := page.First + shown - 1
	return fmt.Sprintf("Answers %s to %s of %s, ", grouped(page.First), grouped(last), grouped(max(all, last)))
}
