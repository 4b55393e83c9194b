package main

import (
	"context"
	"crypto/rand"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"time"

	"github.com/answerfeed/answerfeed/app/database"
	"github.com/answerfeed/answerfeed/app/event"
	"github.com/answerfeed/answerfeed/app/outbox"
)

const (
	maxForm = 64 << 10
	// stopWithin is how long requests may go on when the program is told to stop.
	stopWithin = 10 * time.Second
	// correlationHeader is where a request may bring its correlation id.
	correlationHeader = "X-Correlation-Id"
)

// site takes answers, which begin sagas.
type site struct {
	steps
	within time.Duration // for moderation
}

func (s *site) routes() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("POST /questions/{question}/answers", s.answer)
	mux.HandleFunc("DELETE /questions/{question}/answers/{answer}", s.takeAnswerBack)
	mux.HandleFunc("GET /answers/{answer}", s.state)
	mux.HandleFunc("GET /points", s.points)
	return http.NewCrossOriginProtection().Handler(mux)
}

// answer is the first step: the answer is there at once, and waits for its
// verdict. The form has author and text.
func (s *site) answer(w http.ResponseWriter, r *http.Request) {
	ctx := correlated(w, r)
	r.Body = http.MaxBytesReader(w, r.Body, maxForm)
	now := time.Now()
	e := event.AnswerAdded{
		AnswerID: rand.Text(), QuestionID: r.PathValue("question"), AuthorID: r.PostFormValue("author"), Excerpt: r.PostFormValue("text"), OccurredAt: now,
	}
	e.EventID = "added-" + e.AnswerID
	if e.AuthorID == "" {
		http.Error(w, "author: it is missing", http.StatusBadRequest)
		return
	}
	err := s.db.Update(ctx, database.Durable, func(ctx context.Context, tx *sql.Tx) error {
		_, err := tx.ExecContext(ctx, s.db.SQL(insertSaga), e.AnswerID, e.QuestionID, e.AuthorID, e.Excerpt,
			now.Add(s.within).UnixMicro(), event.MessageOf(ctx).CorrelationID)
		if err != nil {
			return err
		}
		return outbox.Publish(ctx, tx, event.TopicAnswerAdded, e)
	})
	if err == nil {
		s.logger.InfoContext(ctx, "answer stored", "answer", e.AnswerID)
		w.WriteHeader(http.StatusCreated)
	}
	s.reply(ctx, w, err, map[string]string{"answer_id": e.AnswerID, "state": statePending})
}

// correlated is the request's context with a correlation id: the request's own,
// or a new one.
func correlated(w http.ResponseWriter, r *http.Request) context.Context {
	id := r.Header.Get(correlationHeader)
	if id == "" || len(id) > 128 || event.CheckMetadata(map[string]string{"id": id}) != nil {
		id = rand.Text()
	}
	w.Header().Set(correlationHeader, id)
	w.Header().Set("Content-Type", "application/json")
	return begun(r.Context(), "site", id)
}

// takeAnswerBack undoes a saga for its author, be it complete or not.
func (s *site) takeAnswerBack(w http.ResponseWriter, r *http.Request) {
	ctx := correlated(w, r)
	if err := s.undo(ctx, takeSagaBack, r.PathValue("answer"), r.PathValue("question"), "taken back by its author"); err != nil {
		s.reply(ctx, w, err, nil)
		return
	}
	s.tellState(ctx, w, r.PathValue("answer"))
}

func (s *site) state(w http.ResponseWriter, r *http.Request) {
	s.tellState(correlated(w, r), w, r.PathValue("answer"))
}

func (s *site) tellState(ctx context.Context, w http.ResponseWriter, answer string) {
	var state string
	err := s.db.Read().QueryRowContext(ctx, s.db.SQL(readSaga), answer).Scan(&state)
	s.reply(ctx, w, err, map[string]string{"answer_id": answer, "state": state})
}

func (s *site) points(w http.ResponseWriter, r *http.Request) {
	ctx := correlated(w, r)
	all, err := s.allPoints(ctx)
	s.reply(ctx, w, err, all)
}

// allPoints are those of the 100 authors who have most.
func (s steps) allPoints(ctx context.Context) (map[string]int, error) {
	rows, err := s.db.Read().QueryContext(ctx, readPoints)
	if err != nil {
		return nil, fmt.Errorf("reading points: %w", err)
	}
	defer rows.Close()
	all := map[string]int{}
	for rows.Next() {
		var author string
		var points int
		if err := rows.Scan(&author, &points); err != nil {
			return nil, fmt.Errorf("reading points: %w", err)
		}
		all[author] = points
	}
	return all, rows.Err()
}

func (s *site) reply(ctx context.Context, w http.ResponseWriter, err error, body any) {
	var broken *event.Error
	switch {
	case err == nil:
		_ = json.NewEncoder(w).Encode(body) // whoever hung up does not hear it
	case errors.As(err, &broken):
		http.Error(w, broken.Error(), http.StatusBadRequest)
	case errors.Is(err, sql.ErrNoRows):
		http.Error(w, "there is no such answer", http.StatusNotFound)
	default:
		s.logger.ErrorContext(ctx, "a request failed", "error", err)
		http.Error(w, "it failed; please try again", http.StatusInternalServerError)
	}
}

// serve serves until ctx ends.
func (s *site) serve(ctx context.Context, address string, out io.Writer) error {
	l, err := net.Listen("tcp", address)
	if err != nil {
		return fmt.Errorf("listening at %s: %w", address, err)
	}
	server := &http.Server{Handler: s.routes(), ReadHeaderTimeout: 5 * time.Second}
	ended := make(chan error, 1)
	go func() { ended <- server.Serve(l) }()
	fmt.Fprintf(out, "serving at http://%s/\n", l.Addr())
	select {
	case err := <-ended:
		return fmt.Errorf("serving at %s: %w", address, err)
	case <-ctx.Done():
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), stopWithin)
	defer cancel()
	err = server.Shutdown(ctx)
	if served := <-ended; !errors.Is(served, http.ErrServerClosed) {
		err = errors.Join(err, served)
	}
	return err
}
