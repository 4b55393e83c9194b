package web

import (
	"encoding/json"
	"net/http"
	"time"

	"github.com/answerfeed/answerfeed/internal/feed"
	"github.com/answerfeed/answerfeed/internal/leaderboard"
)

// item is a question on the wire. The feed's own type says "" for what is
// absent; here an absent id is null, so that nobody looks it up.
type item struct {
	QuestionID    string     `json:"question_id"`
	Title         string     `json:"title"`
	Excerpt       string     `json:"excerpt"`
	Subject       string     `json:"subject"`
	Grade         string     `json:"grade"`
	AuthorID      *string    `json:"author_id"`
	AskedAt       time.Time  `json:"asked_at"`
	Answered      bool       `json:"answered"`
	AnswerCount   int        `json:"answer_count"`
	FirstAnswerID *string    `json:"first_answer_id"`
	LastAnswerAt  *time.Time `json:"last_answer_at"`
}

type answer struct {
	AnswerID   string    `json:"answer_id"`
	AuthorID   *string   `json:"author_id"`
	Excerpt    string    `json:"excerpt"`
	AnsweredAt time.Time `json:"answered_at"`
}

func wireItem(i feed.Item) item {
	w := item{
		QuestionID: i.QuestionID, Title: i.Title, Excerpt: i.Excerpt, Subject: i.Subject, Grade: i.Grade,
		AuthorID: orNull(i.AuthorID), AskedAt: i.AskedAt.UTC(),
		Answered: i.Answered, AnswerCount: i.AnswerCount, FirstAnswerID: orNull(i.FirstAnswerID),
	}
	if i.LastAnswerAt != nil {
		w.LastAnswerAt = new(i.LastAnswerAt.UTC())
	}
	return w
}

func orNull(id string) *string {
	if id == "" {
		return nil
	}
	return &id
}

func (s *Server) apiFeed(w http.ResponseWriter, r *http.Request) error {
	values, err := strictParams(r, "subject", "grade", "answered", "limit", "cursor")
	if err != nil {
		return err
	}
	filter, err := feedFilter(values)
	if err != nil {
		return err
	}
	page, err := s.opts.Feed.List(r.Context(), filter)
	if err != nil {
		return err
	}
	body := struct {
		Items      []item `json:"items"`
		NextCursor string `json:"next_cursor,omitempty"`
	}{Items: make([]item, len(page.Items)), NextCursor: page.NextCursor}
	for n, i := range page.Items {
		body.Items[n] = wireItem(i)
	}
	return ok(w, body)
}

func (s *Server) apiQuestion(w http.ResponseWriter, r *http.Request) error {
	values, err := strictParams(r, "order", "limit", "cursor")
	if err != nil {
		return err
	}
	filter, err := answerFilter(values, feed.MaxAnswers)
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
	body := struct {
		item
		Answers    []answer `json:"answers"`
		NextCursor string   `json:"next_cursor,omitempty"`
	}{wireItem(question), make([]answer, len(page.Answers)), page.NextCursor}
	for n, a := range page.Answers {
		body.Answers[n] = answer{AnswerID: a.AnswerID, AuthorID: orNull(a.AuthorID), Excerpt: a.Excerpt, AnsweredAt: a.AnsweredAt.UTC()}
	}
	return ok(w, body)
}

func (s *Server) apiSubjects(w http.ResponseWriter, r *http.Request) error {
	if _, err := strictParams(r); err != nil {
		return err
	}
	subjects, err := s.opts.Feed.Subjects(r.Context())
	if err != nil {
		return err
	}
	type subject struct {
		Subject    string `json:"subject"`
		Questions  int    `json:"questions"`
		Unanswered int    `json:"unanswered"`
	}
	body := struct {
		Subjects []subject `json:"subjects"`
	}{make([]subject, len(subjects))}
	for n, of := range subjects {
		body.Subjects[n] = subject(of)
	}
	return ok(w, body)
}

func (s *Server) apiLeaderboard(w http.ResponseWriter, r *http.Request) error {
	values, err := strictParams(r, "limit")
	if err != nil {
		return err
	}
	n, err := limit(values)
	if err != nil {
		return err
	}
	authors, err := s.opts.Leaderboard.Top(r.Context(), n)
	if err != nil {
		return err
	}
	return ok(w, struct {
		Authors []author `json:"authors"`
	}{wireAuthors(authors)})
}

type author struct {
	AuthorID string `json:"author_id"`
	Answers  int    `json:"answers"`
}

func wireAuthors(from []leaderboard.Author) []author {
	to := make([]author, len(from))
	for n, a := range from {
		to[n] = author(a)
	}
	return to
}

func ok(w http.ResponseWriter, body any) error {
	writeJSON(w, http.StatusOK, "application/json", body)
	return nil
}

// writeJSON writes a body made of this package's own types, which always
// encode; a client that is gone is nobody's error.
func writeJSON(w http.ResponseWriter, status int, contentType string, body any) {
	w.Header().Set("Content-Type", contentType)
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(body)
}
