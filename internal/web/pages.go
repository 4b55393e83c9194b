package web

import (
	"net/http"
)

const (
	leadersInBox  = 5
	leadersOnPage = 100
	answersOnPage = 100
)

func (s *Server) feedPage(w http.ResponseWriter, r *http.Request) error {
	values, err := params(r, "subject", "grade", "answered", "cursor")
	if err != nil {
		return err
	}
	filter, err := feedFilter(values)
	if err != nil {
		return err
	}
	ctx := r.Context()
	page, err := s.opts.Feed.List(ctx, filter)
	if err != nil {
		return err
	}
	subjects, err := s.opts.Feed.Subjects(ctx)
	if err != nil {
		return err
	}
	grades, err := s.opts.Feed.Grades(ctx)
	if err != nil {
		return err
	}
	leaders, err := s.opts.Leaderboard.Top(ctx, leadersInBox)
	if err != nil {
		return err
	}
	at := selectionOf(values)
	view := feedView{
		Heading:   at.heading(),
		Subjects:  viewSubjects(subjects, at),
		Filter:    viewFilter(grades, at),
		Questions: viewQuestions(page.Items, s.opts.Now()),
		Leaders:   viewLeaders(leaders),
		API:       at.api(),
	}
	if page.NextCursor != "" {
		view.Older = at.olderThan(page.NextCursor)
	}
	if filter.Cursor != "" {
		view.Newest = at.path()
	}
	if len(page.Items) == 0 {
		view.Empty = emptiness(at, filter.Cursor != "", len(subjects))
	}
	return s.render(w, http.StatusOK, "feed.html", view.Heading, view)
}

// emptiness tells why a list has nothing to show, which decides what to do.
func emptiness(at selection, paged bool, subjects int) string {
	switch {
	case paged:
		return "end"
	case at.filtered() && subjects > 0:
		return "filter"
	default:
		return "new"
	}
}

func (s *Server) questionPage(w http.ResponseWriter, r *http.Request) error {
	values, err := params(r, "order", "cursor")
	if err != nil {
		return err
	}
	filter, err := answerFilter(values, answersOnPage)
	if err != nil {
		return err
	}
	id, err := questionID(r)
	if err != nil {
		return err
	}
	question, page, err := s.opts.Feed.Answers(r.Context(), id, filter)
	if err != nil {
		return err
	}
	view := viewAnswers(question, page, filter.Cursor != "", s.opts.Now())
	return s.render(w, http.StatusOK, "question.html", view.Question.Title, view)
}

func (s *Server) leaderboardPage(w http.ResponseWriter, r *http.Request) error {
	leaders, err := s.opts.Leaderboard.Top(r.Context(), leadersOnPage)
	if err != nil {
		return err
	}
	return s.render(w, http.StatusOK, "leaderboard.html", "Leaderboard", viewLeaders(leaders))
}
