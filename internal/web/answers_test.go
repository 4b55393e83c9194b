package web_test

import (
	"fmt"
	"net/http"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/answerfeed/answerfeed/app/event"
)

// crowd asks a question with n answers, a minute apart.
func (s *site) crowd(id string, n int) {
	s.ask(event.QuestionAdded{QuestionID: id, Title: "Who has not answered?"}, 999*time.Hour)
	var all sync.WaitGroup // so that they share commits
	for i := range n {
		all.Go(func() {
			s.answer(event.AnswerAdded{AnswerID: fmt.Sprint("a", i), QuestionID: id, Excerpt: fmt.Sprint("Answer ", i+1)}, time.Duration(n-i)*time.Minute)
		})
	}
	all.Wait()
}

func TestQuestionPage_TellsWhichOfManyAnswersItShows(t *testing.T) {
	s := newSite(t)
	s.crowd("site.example/q1", 250)
	walk := func(path, first, order, next string, headings ...string) {
		for n, heading := range headings {
			doc := s.page(http.StatusOK, path)
			require.Equal(t, heading+", "+order+" first", doc.one(t, "h2").text())
			items := doc.one(t, "ol", "answers").all("li")
			require.Len(t, items, min(100, 250-100*n))
			require.Contains(t, items[0].text(), first)
			first = map[string]string{"Answer 1": "Answer 101", "Answer 101": "Answer 201", "Answer 250": "Answer 150", "Answer 150": "Answer 50"}[first]
			if n+1 == len(headings) {
				require.NotContains(t, doc.text(), next)
				continue
			}
			path = doc.link(t, next)
		}
	}
	const path = "/questions/site.example%2Fq1"
	headings := []string{"Answers 1 to 100 of 250", "Answers 101 to 200 of 250", "Answers 201 to 250 of 250"}
	walk(path, "Answer 1", "oldest", "Later answers →", headings...)
	newest := s.page(http.StatusOK, path).link(t, "Newest first")
	walk(newest, "Answer 250", "newest", "Earlier answers →", headings...)
	require.Equal(t, path, s.page(http.StatusOK, newest).link(t, "Oldest first"))
	require.Equal(t, http.StatusBadRequest, s.get(path+"?order=random").StatusCode)
	require.Equal(t, http.StatusBadRequest, s.get(path+"?cursor=x").StatusCode)
}

func TestAPIQuestion_PagesItsAnswers(t *testing.T) {
	s := newSite(t)
	s.crowd("q1", 1005)
	whole := s.get("/api/questions/q1").json(t)
	require.Len(t, whole["answers"], 1000, "as many as ever")
	require.Equal(t, 1005.0, whole["answer_count"])
	rest := s.get("/api/questions/q1?cursor=" + whole["next_cursor"].(string)).json(t)
	require.Len(t, rest["answers"], 5)
	require.NotContains(t, rest, "next_cursor")
	require.Equal(t, "Answer 1005", rest["answers"].([]any)[4].(map[string]any)["excerpt"])

	newest := s.get("/api/questions/q1?order=newest&limit=2").json(t)
	require.Len(t, newest["answers"], 2)
	require.Equal(t, "Answer 1005", newest["answers"].([]any)[0].(map[string]any)["excerpt"])
	for parameter, query := range map[string]string{"order": "order=up", "limit": "limit=1001", "cursor": "cursor=AQ", "page": "page=2"} {
		require.Equal(t, parameter, s.get("/api/questions/q1?"+query).problem(t, http.StatusBadRequest)["parameter"])
	}
}
