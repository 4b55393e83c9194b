package web_test

import (
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/answerfeed/answerfeed/app/event"
)

// titles returns the titles of the questions that a feed page lists.
func titles(t *testing.T, doc element) []string {
	t.Helper()
	return texts(doc.one(t, "ol", "questions").all("h2"))
}

func TestFeedPage(t *testing.T) {
	s := newSite(t)
	s.fill()
	doc := s.page(http.StatusOK, "/")
	require.Equal(t, "Newest questions", doc.one(t, "h1").text())
	require.Equal(t, []string{"What is zero?", "Why did Rome fall?", "Who was Gauss?", "What is a field?", "What is a prime?"}, titles(t, doc))

	articles := doc.all("article")
	require.Equal(t, "What is zero? author unknown 2 minutes ago 10 Mar 2025, 11:58 UTC no answer yet subject algebra grade primary", articles[0].text())
	require.Equal(t, "Why did Rome fall? by ben 3 hours ago 10 Mar 2025, 09:00 UTC In a few words. 2 answers subject history grade secondary", articles[1].text())
	require.Equal(t, "/questions/q4", articles[1].link(t, "Why did Rome fall?"))
	require.Equal(t, "/?subject=history", articles[1].link(t, "subject history"))
	require.Equal(t, "/?grade=secondary", articles[1].link(t, "grade secondary"))
	require.Contains(t, articles[3].text(), "1 answer ")

	require.Equal(t, []string{"All subjects 5 questions 3 unanswered", "algebra 3 questions 2 unanswered", "history 2 questions 1 unanswered"},
		texts(doc.one(t, "nav", "subjects").all("li")))
	require.Equal(t, []string{"All grades", "primary", "secondary"}, texts(doc.one(t, "select").all("option")))
	require.Equal(t, []string{"ada 2 answers", "eve 1 answer"}, texts(doc.one(t, "aside").all("li")))
	require.Empty(t, doc.all("p", "chips"))
	require.Empty(t, doc.all("nav", "pager"))
	require.Equal(t, "/api/feed", doc.link(t, "This list as JSON"))
}

func TestFeedPageFiltered(t *testing.T) {
	s := newSite(t)
	s.fill()
	doc := s.page(http.StatusOK, "/?subject=history&grade=secondary&answered=true&utm_source=elsewhere")
	require.Equal(t, "Answered questions in history, grade secondary", doc.one(t, "h1").text())
	require.Equal(t, []string{"Why did Rome fall?"}, titles(t, doc))

	for _, current := range doc.all("") {
		if current.attr("aria-current") == "true" {
			require.Contains(t, []string{"history 2 questions 1 unanswered", "Answered"}, current.text())
		}
	}
	form := doc.one(t, "form")
	require.Equal(t, "history", form.one(t, "input").attr("value"), "the form keeps the subject")
	for _, o := range form.all("option") {
		_, selected := strings.CutPrefix(o.text(), "secondary")
		require.Equal(t, selected, len(o.Attr) == 2, "%s selected", o.text())
	}
	chips := doc.one(t, "p", "chips")
	require.Equal(t, "/?answered=true&grade=secondary", chips.link(t, "Subject: history × – remove this filter"))
	require.Equal(t, "/?answered=true&subject=history", chips.link(t, "Grade: secondary × – remove this filter"))
	require.Equal(t, "/?grade=secondary&subject=history", chips.link(t, "Answered × – remove this filter"))
	require.Equal(t, "/", chips.link(t, "Clear all"))
	require.Equal(t, "/?answered=true&grade=secondary&subject=algebra", doc.link(t, "algebra 3 questions 2 unanswered"), "a subject keeps the rest")
	require.Equal(t, "/api/feed?answered=true&grade=secondary&subject=history", doc.link(t, "This list as JSON"))
}

func TestFeedPagePaging(t *testing.T) {
	s := newSite(t)
	for n := range 45 {
		s.ask(event.QuestionAdded{QuestionID: fmt.Sprintf("q%02d", n), Title: fmt.Sprintf("Question %d", n), Subject: []string{"algebra", "history"}[n/42]}, time.Duration(n)*time.Hour)
	}
	var seen []string
	path := "/?subject=algebra"
	for page := range 3 {
		doc := s.page(http.StatusOK, path)
		seen = append(seen, titles(t, doc)...)
		pager := doc.one(t, "nav", "pager")
		if page > 0 {
			require.Equal(t, "/?subject=algebra", pager.link(t, "← Newest"))
		}
		if page == 2 {
			require.NotContains(t, pager.text(), "Older")
			break
		}
		path = pager.link(t, "Older questions →")
		require.Contains(t, path, "subject=algebra")
	}
	require.Len(t, seen, 42)
	require.Equal(t, "Question 0", seen[0])
	require.Equal(t, "Question 41", seen[41])
}

func TestQuestionPage(t *testing.T) {
	s := newSite(t)
	s.fill()
	doc := s.page(http.StatusOK, "/questions/q4")
	require.Equal(t, "Why did Rome fall? · answerfeed", doc.one(t, "title").text())
	require.Equal(t, "Why did Rome fall?", doc.one(t, "h1").text())
	require.Equal(t, "2 answers, oldest first", doc.one(t, "h2").text())
	require.Equal(t, []string{
		"Lead. by ada 2 hours ago 10 Mar 2025, 10:00 UTC",
		"Slowly. by eve 1 hour ago 10 Mar 2025, 11:00 UTC",
	}, texts(doc.one(t, "ol", "answers").all("li")))
	require.Equal(t, "/", doc.link(t, "← Newest questions"))

	doc = s.page(http.StatusOK, "/questions/q1?utm_source=elsewhere")
	require.Equal(t, "No answer yet", doc.one(t, "h2").text())
	require.Contains(t, s.page(http.StatusOK, "/questions/q2").text(), "This answer came without an excerpt.")
}

func TestLeaderboardPage(t *testing.T) {
	s := newSite(t)
	require.Contains(t, s.page(http.StatusOK, "/leaderboard").text(), "Nobody has answered yet")
	s.fill()
	require.Equal(t, []string{"Place Author Answers", "1 ada 2", "2 eve 1"}, texts(s.page(http.StatusOK, "/leaderboard").all("tr")))
}

func TestEmptyPages(t *testing.T) {
	s := newSite(t)
	for _, path := range []string{"/", "/?subject=history"} {
		doc := s.page(http.StatusOK, path)
		require.Equal(t, []string{"worker import stackexchange Posts.xml", "worker publish events.ndjson", "worker run --demo"}, texts(doc.all("dt")), path)
		require.Empty(t, doc.all("form"), "there is nothing to filter")
	}
	s.fill()
	empty := s.page(http.StatusOK, "/?subject=botany").one(t, "section", "empty")
	require.Equal(t, "No question matches", empty.one(t, "h2").text())
	require.Equal(t, "/", empty.link(t, "show all questions"))

	cursor := s.get("/api/feed?limit=4").json(t)["next_cursor"].(string)
	doc := s.page(http.StatusOK, "/?grade=secondary&cursor="+url.QueryEscape(cursor))
	require.Equal(t, "That was the last one", doc.one(t, "section", "empty").one(t, "h2").text())
	require.Equal(t, "/?grade=secondary", doc.link(t, "← Newest"))
}

func TestErrorPages(t *testing.T) {
	s := newSite(t)
	for _, c := range []struct {
		name, path string
		status     int
		words      string
	}{
		{"unknown question", "/questions/q1", http.StatusNotFound, "There is no question with this id"},
		{"id of no UTF-8", "/questions/%ff", http.StatusNotFound, "There is no question with this id"},
		{"unknown page", "/nothing", http.StatusNotFound, "There is nothing at this address."},
		{"page with a tail", "/leaderboard/", http.StatusNotFound, "There is nothing at this address."},
		{"answered maybe", "/?answered=maybe", http.StatusBadRequest, `The parameter "answered" must be true or false.`},
		{"bad cursor", "/?cursor=nonsense", http.StatusBadRequest, `The parameter "cursor" is not one that this feed handed out.`},
		{"repeated", "/?grade=a&grade=b", http.StatusBadRequest, `The parameter "grade" is given more than once.`},
		{"malformed query", "/?grade=%zz", http.StatusBadRequest, "malformed"},
	} {
		t.Run(c.name, func(t *testing.T) {
			doc := s.page(c.status, c.path)
			require.Equal(t, http.StatusText(c.status), doc.one(t, "h1").text())
			require.Contains(t, doc.one(t, "main").text(), c.words)
			require.Equal(t, "/", doc.link(t, "Go to the newest questions"))
		})
	}
}

func TestHostileTexts(t *testing.T) {
	s := newSite(t)
	texts := []string{
		`<script>alert(1)</script>`,
		`"><img src=x onerror=alert(1)>`,
		`' onmouseover='alert(1)`,
		`</bdi></article></main><h1>Mine</h1>`,
		`javascript:alert(1)`,
		`{{.}} {{template "x"}}`,
		`&lt;b&gt; &amp; &#x3c;`,
		"\u202eright to left\u2028next\u0007bell",
		`<!--`, `]]>`, `?&subject=x#y`, `../../etc`,
	}
	for n, text := range texts {
		id := fmt.Sprintf("%d %s", n, text)
		s.ask(event.QuestionAdded{QuestionID: id, Title: text, Excerpt: text, Subject: text, Grade: text, AuthorID: text}, time.Duration(n)*time.Hour)
		s.answer(event.AnswerAdded{AnswerID: "a" + id, QuestionID: id, AuthorID: text, Excerpt: text}, 0)
	}
	plain := func(text string) string { return strings.Join(strings.Fields(text), " ") }

	doc := s.page(http.StatusOK, "/") // checks that no script and no handler got in
	require.Len(t, doc.all("article"), len(texts))
	require.Len(t, doc.all("img"), 1, "the icon alone")
	for n, article := range doc.all("article") {
		want := plain(texts[n])
		require.Equal(t, want, article.one(t, "h2").text())

		question := s.page(http.StatusOK, article.link(t, want))
		require.Equal(t, want, question.one(t, "h1").text())
		require.Equal(t, want, question.one(t, "ol", "answers").one(t, "p", "body").text())

		of := s.page(http.StatusOK, article.link(t, "subject "+want))
		require.Equal(t, "Newest questions in "+want, of.one(t, "h1").text())
		require.Len(t, of.all("article"), 1)
		of = s.page(http.StatusOK, article.link(t, "grade "+want))
		require.Equal(t, "Newest questions, grade "+want, of.one(t, "h1").text())
		require.Len(t, of.all("article"), 1)
	}
	s.page(http.StatusOK, "/leaderboard")
}
