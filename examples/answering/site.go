package main

import (
	"context"
	"crypto/rand"
	"database/sql"
	_ "embed"
	"encoding/json"
	"errors"
	"html/template"
	"log/slog"
	"net/http"
	"strings"
	"time"

	"github.com/answerfeed/answerfeed/app/database"
	"github.com/answerfeed/answerfeed/app/event"
	"github.com/answerfeed/answerfeed/app/outbox"
)

// maxForm bounds a posted form; maxExcerpt, in characters, is the contract's.
const (
	maxForm    = 64 << 10
	maxExcerpt = 1000
)

// announce tells whoever wants to know of an event. It belongs to tx, in which
// the site stores what the event tells of: when it fails, tx is rolled back.
type announce func(ctx context.Context, tx *sql.Tx, topic string, e outbox.Event) error

// site is the web application.
type site struct {
	db       *database.DB
	announce announce
	logger   *slog.Logger
}

func (s *site) routes() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /{$}", s.page)
	mux.HandleFunc("POST /questions", s.ask)
	mux.HandleFunc("POST /questions/{id}/answers", s.answer)
	return http.NewCrossOriginProtection().Handler(mux)
}

// ask stores a question: the form's title, subject, grade and author.
func (s *site) ask(w http.ResponseWriter, r *http.Request) {
	r.Body = http.MaxBytesReader(w, r.Body, maxForm)
	now := time.Now()
	e := event.QuestionAdded{
		QuestionID: rand.Text(), Title: r.PostFormValue("title"), AuthorID: r.PostFormValue("author"),
		Subject: r.PostFormValue("subject"), Grade: r.PostFormValue("grade"), OccurredAt: now,
	}
	e.EventID = "asked-" + e.QuestionID
	err := s.db.Update(r.Context(), database.Durable, func(ctx context.Context, tx *sql.Tx) error {
		_, err := tx.ExecContext(ctx, s.db.SQL(insertQuestion), e.QuestionID, e.Title, e.Subject, now.UnixMicro())
		if err != nil {
			return err
		}
		return s.announce(ctx, tx, event.TopicQuestionAdded, e)
	})
	s.reply(w, r, err, map[string]string{"question_id": e.QuestionID})
}

// answer stores an answer: the form's author and text. This is what the two
// modes differ in: how long it takes, and what makes it fail.
func (s *site) answer(w http.ResponseWriter, r *http.Request) {
	r.Body = http.MaxBytesReader(w, r.Body, maxForm)
	text, now := r.PostFormValue("text"), time.Now()
	e := event.AnswerAdded{
		AnswerID: rand.Text(), QuestionID: r.PathValue("id"), AuthorID: r.PostFormValue("author"),
		Excerpt: cut(text, maxExcerpt), OccurredAt: now,
	}
	e.EventID = "answered-" + e.AnswerID
	err := s.db.Update(r.Context(), database.Durable, func(ctx context.Context, tx *sql.Tx) error {
		result, err := tx.ExecContext(ctx, s.db.SQL(insertAnswer), e.AnswerID, e.QuestionID, e.AuthorID, text, now.UnixMicro())
		if err != nil {
			return err
		}
		if n, err := result.RowsAffected(); err != nil || n == 0 {
			return errors.Join(err, errNoQuestion)
		}
		return s.announce(ctx, tx, event.TopicAnswerAdded, e)
	})
	s.reply(w, r, err, map[string]string{"answer_id": e.AnswerID})
}

// cut returns the first n characters.
func cut(text string, n int) string {
	for i := range text {
		if n == 0 {
			return text[:i]
		}
		n--
	}
	return text
}

var (
	errNoQuestion = errors.New("there is no such question")
	// errNotTold is what sync fails with when a subscriber does.
	errNotTold = errors.New("a subscriber did not take it")
)

// reply sends a browser back to the page, and tells a program what was stored.
func (s *site) reply(w http.ResponseWriter, r *http.Request, err error, stored map[string]string) {
	var broken *event.Error
	switch {
	case err == nil && strings.Contains(r.Header.Get("Accept"), "text/html"):
		http.Redirect(w, r, "/", http.StatusSeeOther)
	case err == nil:
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(http.StatusCreated)
		_ = json.NewEncoder(w).Encode(stored) // whoever hung up does not hear it
	case errors.As(err, &broken):
		http.Error(w, broken.Error(), http.StatusBadRequest)
	case errors.Is(err, errNoQuestion):
		http.Error(w, errNoQuestion.Error(), http.StatusNotFound)
	case errors.Is(err, errNotTold):
		s.logger.Warn("not stored", "error", err)
		http.Error(w, "not stored: "+errNotTold.Error(), http.StatusServiceUnavailable)
	default:
		s.logger.Error("not stored", "error", err)
		http.Error(w, "not stored; please try again", http.StatusInternalServerError)
	}
}

//go:embed page.html
var pageText string

func (s *site) page(w http.ResponseWriter, r *http.Request) {
	t, err := template.New("page").Parse(pageText)
	var questions []question
	if err == nil {
		questions, err = newest(r.Context(), s.db)
	}
	if err != nil {
		s.logger.Error("the page could not be made", "error", err)
		http.Error(w, "the page could not be made", http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	_ = t.Execute(w, questions) // whoever hung up does not see it
}
