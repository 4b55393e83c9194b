package web_test

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/answerfeed/answerfeed/app/event"
)

// ids returns the question ids of a feed, in order.
func ids(page map[string]any) []string {
	out := []string{}
	for _, i := range page["items"].([]any) {
		out = append(out, i.(map[string]any)["question_id"].(string))
	}
	return out
}

func TestFeedFilters(t *testing.T) {
	s := newSite(t)
	s.fill()
	for _, c := range []struct {
		name, query string
		want        string
	}{
		{"all", "", "q5 q4 q3 q2 q1"},
		{"subject", "?subject=history", "q4 q3"},
		{"grade", "?grade=secondary", "q4 q2"},
		{"answered", "?answered=true", "q4 q2"},
		{"unanswered", "?answered=false", "q5 q3 q1"},
		{"all filters", "?subject=history&grade=secondary&answered=true", "q4"},
		{"none matches", "?subject=botany", ""},
		{"empty parameters are absent ones", "?subject=&grade=&answered=&limit=&cursor=", "q5 q4 q3 q2 q1"},
		{"least limit", "?limit=1", "q5"},
		{"greatest limit", "?limit=100", "q5 q4 q3 q2 q1"},
	} {
		t.Run(c.name, func(t *testing.T) {
			page := s.get("/api/feed" + c.query).json(t)
			require.Equal(t, strings.Fields(c.want), ids(page))
		})
	}
}

func TestFeedPaging(t *testing.T) {
	s := newSite(t)
	s.fill()
	var got []string
	path := "/api/feed?limit=2"
	for range 3 {
		page := s.get(path).json(t)
		got = append(got, ids(page)...)
		cursor, more := page["next_cursor"].(string)
		require.Equal(t, len(got) < 5, more, "next_cursor is absent on the last page alone")
		path = "/api/feed?limit=2&cursor=" + cursor
	}
	require.Equal(t, []string{"q5", "q4", "q3", "q2", "q1"}, got)
}

func TestFeedItem(t *testing.T) {
	s := newSite(t)
	s.fill()
	items := s.get("/api/feed").json(t)["items"].([]any)
	require.Equal(t, map[string]any{
		"question_id": "q4", "title": "Why did Rome fall?", "excerpt": "In a few words.",
		"subject": "history", "grade": "secondary", "author_id": "ben", "asked_at": "2025-03-10T09:00:00Z",
		"answered": true, "answer_count": 2.0, "first_answer_id": "a1", "last_answer_at": "2025-03-10T11:00:00Z",
	}, items[1])
	require.Equal(t, map[string]any{
		"question_id": "q5", "title": "What is zero?", "excerpt": "",
		"subject": "algebra", "grade": "primary", "author_id": nil, "asked_at": "2025-03-10T11:58:00Z",
		"answered": false, "answer_count": 0.0, "first_answer_id": nil, "last_answer_at": nil,
	}, items[0], "what is absent is null")
}

func TestFeedEmpty(t *testing.T) {
	s := newSite(t)
	require.JSONEq(t, `{"items":[]}`, s.get("/api/feed").body)
	require.JSONEq(t, `{"subjects":[]}`, s.get("/api/subjects").body)
	require.JSONEq(t, `{"authors":[]}`, s.get("/api/leaderboard").body)
}

func TestQuestion(t *testing.T) {
	s := newSite(t)
	s.fill()
	q := s.get("/api/questions/q4").json(t)
	require.Equal(t, "Why did Rome fall?", q["title"])
	require.Equal(t, []any{
		map[string]any{"answer_id": "a1", "author_id": "ada", "excerpt": "Lead.", "answered_at": "2025-03-10T10:00:00Z"},
		map[string]any{"answer_id": "a2", "author_id": "eve", "excerpt": "Slowly.", "answered_at": "2025-03-10T11:00:00Z"},
	}, q["answers"], "oldest first")
	require.Equal(t, []any{}, s.get("/api/questions/q1").json(t)["answers"])
}

func TestQuestionOfAnyID(t *testing.T) {
	s := newSite(t)
	s.ask(event.QuestionAdded{QuestionID: "q/1 ?#%é", Title: "Odd"}, time.Hour)
	require.Equal(t, "Odd", s.get("/api/questions/q%2F1%20%3F%23%25%C3%A9").json(t)["title"])
}

func TestSubjectsAndLeaderboard(t *testing.T) {
	s := newSite(t)
	s.fill()
	require.JSONEq(t, `{"subjects":[
		{"subject":"algebra","questions":3,"unanswered":2},
		{"subject":"history","questions":2,"unanswered":1}]}`, s.get("/api/subjects").body)
	require.JSONEq(t, `{"authors":[{"author_id":"ada","answers":2},{"author_id":"eve","answers":1}]}`, s.get("/api/leaderboard").body)
	require.JSONEq(t, `{"authors":[{"author_id":"ada","answers":2}]}`, s.get("/api/leaderboard?limit=1").body)
}

func TestBadParameters(t *testing.T) {
	s := newSite(t)
	for _, c := range []struct {
		name, path, parameter string
	}{
		{"limit of nothing", "/api/feed?limit=0", "limit"},
		{"limit below", "/api/feed?limit=-1", "limit"},
		{"limit above", "/api/feed?limit=101", "limit"},
		{"limit in words", "/api/feed?limit=abc", "limit"},
		{"limit with a fraction", "/api/feed?limit=1.5", "limit"},
		{"limit beyond an integer", "/api/feed?limit=99999999999999999999", "limit"},
		{"limit twice", "/api/feed?limit=5&limit=5", "limit"},
		{"answered maybe", "/api/feed?answered=maybe", "answered"},
		{"answered in capitals", "/api/feed?answered=TRUE", "answered"},
		{"answered as a number", "/api/feed?answered=1", "answered"},
		{"answered twice", "/api/feed?answered=true&answered=false", "answered"},
		{"subject twice, once empty", "/api/feed?subject=&subject=history", "subject"},
		{"subject of no UTF-8", "/api/feed?subject=%ff", "subject"},
		{"grade with NUL", "/api/feed?grade=%00", "grade"},
		{"cursor of nobody", "/api/feed?cursor=nonsense", "cursor"},
		{"cursor of no UTF-8", "/api/feed?cursor=%fe", "cursor"},
		{"cursor twice", "/api/feed?cursor=a&cursor=b", "cursor"},
		{"misspelt", "/api/feed?subjet=history", "subjet"},
		{"capitals", "/api/feed?Limit=5", "Limit"},
		{"leaderboard limit", "/api/leaderboard?limit=0", "limit"},
		{"leaderboard limit above", "/api/leaderboard?limit=101", "limit"},
		{"leaderboard has no cursor", "/api/leaderboard?cursor=x", "cursor"},
		{"subjects has none", "/api/subjects?limit=1", "limit"},
		{"question has no filter", "/api/questions/q1?subject=x", "subject"},
		{"answers limit", "/api/questions/q1?limit=0", "limit"},
		{"answers in no order", "/api/questions/q1?order=best", "order"},
		{"backlog has none", "/api/backlog?handler=feed", "handler"},
	} {
		t.Run(c.name, func(t *testing.T) {
			p := s.get(c.path).problem(t, http.StatusBadRequest)
			require.Equal(t, c.parameter, p["parameter"])
			require.Contains(t, p["detail"], c.parameter)
		})
	}
	for _, query := range []string{"?limit=%zz", "?subject=a;grade=b"} {
		p := s.get("/api/feed"+query).problem(t, http.StatusBadRequest)
		require.NotContains(t, p, "parameter", "no parameter can be told")
	}
}

func TestNotFound(t *testing.T) {
	s := newSite(t)
	s.answer(event.AnswerAdded{AnswerID: "a1", QuestionID: "stub"}, time.Hour)
	for name, path := range map[string]string{
		"question":          "/api/questions/q1",
		"hidden stub":       "/api/questions/stub",
		"id of no UTF-8":    "/api/questions/%ff",
		"id with NUL":       "/api/questions/%00",
		"id too long":       "/api/questions/" + strings.Repeat("q", 129),
		"no id":             "/api/questions/",
		"route":             "/api/nothing",
		"route with a tail": "/api/feed/",
	} {
		t.Run(name, func(t *testing.T) { s.get(path).problem(t, http.StatusNotFound) })
	}
}
