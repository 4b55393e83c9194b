package web

import (
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/answerfeed/answerfeed/internal/feed"
	"github.com/answerfeed/answerfeed/internal/leaderboard"
)

// The page lists so many subjects at once, so many more behind a fold, and
// leaves the rest to the API. Of the grades it offers the first so many; any
// other is reached by the link beside its questions.
const (
	subjectsShown  = 20
	subjectsFolded = 80
	gradesListed   = 100
)

type feedView struct {
	Heading   string
	Subjects  subjectsView
	Filter    filterView
	Questions []questionView
	Older     string // link, or "" on the last page
	Newest    string // link, or "" on the first page
	Empty     string // "", or why there are no questions: "new", "filter" or "end"
	Leaders   []leaderView
	API       string
}

type subjectsView struct {
	All    subjectView
	Shown  []subjectView
	Folded []subjectView
	Left   string // how many more there are, or ""
}

type subjectView struct {
	Name       string
	Questions  string
	Unanswered string // "" for none
	Path       string
	Current    bool
}

type filterView struct {
	Subject  string
	Grades   []optionView
	Answered []optionView
	Current  string // the value of Answered in force
	Chips    []chipView
}

type optionView struct {
	Value, Label string
	Current      bool
}

// chipView is a part of the filter in force; Path is the list without it.
type chipView struct{ Label, Path string }

type questionView struct {
	Title, Excerpt, AuthorID string
	Path                     string
	Subject, SubjectPath     string
	Grade, GradePath         string
	Answered                 bool
	Answers                  string
	At                       moment
}

type leaderView struct {
	Rank     int
	AuthorID string
	Answers  string // "3 answers"
	Count    string // "3"
}

func viewSubjects(subjects []feed.Subject, at selection) subjectsView {
	var questions, unanswered int
	views := make([]subjectView, 0, subjectsShown+subjectsFolded)
	var chosen *subjectView // when it is not among the first
	for n, s := range subjects {
		questions += s.Questions
		unanswered += s.Unanswered
		view := viewSubject(s, at)
		switch {
		case view.Current && n >= subjectsShown:
			chosen = &view
		case len(views) < cap(views):
			views = append(views, view)
		}
	}
	shown := min(len(views), subjectsShown)
	v := subjectsView{
		All:    viewSubject(feed.Subject{Questions: questions, Unanswered: unanswered}, at),
		Shown:  slices.Clone(views[:shown]),
		Folded: views[shown:],
	}
	v.All.Name = "All subjects"
	listed := len(views)
	if chosen != nil {
		v.Shown = append(v.Shown, *chosen)
		listed++
	}
	if left := len(subjects) - listed; left > 0 {
		v.Left = grouped(left)
	}
	return v
}

func viewSubject(s feed.Subject, at selection) subjectView {
	v := subjectView{
		Name: s.Subject, Questions: grouped(s.Questions),
		Path: at.withSubject(s.Subject).path(), Current: at.Subject == s.Subject,
	}
	if s.Unanswered > 0 {
		v.Unanswered = grouped(s.Unanswered)
	}
	return v
}

func viewFilter(grades []string, at selection) filterView {
	v := filterView{Subject: at.Subject, Current: at.Answered}
	grades = slices.Clone(grades[:min(len(grades), gradesListed)])
	if at.Grade != "" && !slices.Contains(grades, at.Grade) {
		grades = append(grades, at.Grade)
	}
	v.Grades = append(v.Grades, optionView{"", "All grades", at.Grade == ""})
	for _, g := range grades {
		v.Grades = append(v.Grades, optionView{g, g, g == at.Grade})
	}
	v.Answered = []optionView{
		{"", "All", at.Answered == ""},
		{"false", "Unanswered", at.Answered == "false"},
		{"true", "Answered", at.Answered == "true"},
	}
	if at.Subject != "" {
		v.Chips = append(v.Chips, chipView{"Subject: " + at.Subject, at.withSubject("").path()})
	}
	if at.Grade != "" {
		v.Chips = append(v.Chips, chipView{"Grade: " + at.Grade, at.withGrade("").path()})
	}
	for _, o := range v.Answered {
		if o.Current && o.Value != "" {
			v.Chips = append(v.Chips, chipView{o.Label, at.withAnswered("").path()})
		}
	}
	return v
}

func viewQuestions(items []feed.Item, now time.Time) []questionView {
	views := make([]questionView, len(items))
	for n, i := range items {
		views[n] = questionView{
			Title: i.Title, Excerpt: i.Excerpt, AuthorID: i.AuthorID,
			Path:    "/questions/" + url.PathEscape(i.QuestionID),
			Subject: i.Subject, SubjectPath: selection{Subject: i.Subject}.path(),
			Grade: i.Grade, GradePath: selection{Grade: i.Grade}.path(),
			Answered: i.Answered, Answers: answersInWords(i.AnswerCount),
			At: momentOf(i.AskedAt, now),
		}
		if strings.TrimSpace(i.Title) == "" {
			views[n].Title = "(untitled)" // a link needs something to click
		}
	}
	return views
}

func viewLeaders(authors []leaderboard.Author) []leaderView {
	views := make([]leaderView, len(authors))
	for n, a := range authors {
		views[n] = leaderView{Rank: n + 1, AuthorID: a.AuthorID, Answers: answersInWords(a.Answers), Count: grouped(a.Answers)}
	}
	return views
}

func answersInWords(n int) string {
	switch n {
	case 0:
		return "no answer yet"
	case 1:
		return "1 answer"
	default:
		return grouped(n) + " answers"
	}
}

// grouped writes 1234567 as 1,234,567.
func grouped(n int) string {
	text := strconv.Itoa(n)
	for at := len(text) - 3; at > 0; at -= 3 {
		text = text[:at] + "," + text[at:]
	}
	return text
}
