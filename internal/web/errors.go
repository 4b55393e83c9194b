package web

import (
	"context"
	"errors"
	"fmt"
	"net/http"

	"github.com/answerfeed/answerfeed/internal/feed"
)

// problem is an error that may be shown: the members of RFC 9457, with
// "parameter" as this API's own. Its type is about:blank throughout, which by
// the RFC means that the status says it all.
type problem struct {
	Type      string `json:"type"`
	Title     string `json:"title"`
	Status    int    `json:"status"`
	Detail    string `json:"detail"`
	Parameter string `json:"parameter,omitempty"`

	cause error // for the log only
}

func (p problem) Error() string { return p.Detail }
func (p problem) Unwrap() error { return p.cause }

func newProblem(status int, detail string) problem {
	return problem{Type: "about:blank", Title: http.StatusText(status), Status: status, Detail: detail}
}

// badParameter is a 400; what completes the sentence "The parameter NAME …".
// It never holds the value that the client sent.
func badParameter(name, what string) problem {
	p := newProblem(http.StatusBadRequest, fmt.Sprintf("The parameter %q %s.", name, what))
	p.Parameter = name
	return p
}

// fault is a mistake of this program.
func fault(cause error) problem {
	p := newProblem(http.StatusInternalServerError, "The server made a mistake; its log has the details.")
	p.cause = cause
	return p
}

// problemOf is the one place where errors become statuses. What is not known
// here came out of a store, and a store fails only with its database.
func problemOf(err error) problem {
	var p problem
	switch {
	case errors.As(err, &p):
		return p
	case errors.Is(err, feed.ErrBadCursor):
		return badParameter("cursor", "is not one that this feed handed out")
	case errors.Is(err, feed.ErrNotFound):
		return newProblem(http.StatusNotFound, "There is no question with this id, or it has not arrived yet.")
	default:
		p = newProblem(http.StatusServiceUnavailable, "The data cannot be read at the moment. Please try again shortly.")
		p.cause = err
		return p
	}
}

// report logs what is the server's own doing, and returns what the client may
// know of it; ok is false when the client is gone and nobody would read it.
func (s *Server) report(w http.ResponseWriter, r *http.Request, err error) (p problem, ok bool) {
	if errors.Is(context.Cause(r.Context()), context.Canceled) {
		return problem{}, false
	}
	p = problemOf(err)
	if p.cause != nil {
		s.opts.Logger.ErrorContext(r.Context(), "request failed", "method", r.Method, "route", r.Pattern, "status", p.Status, "error", p.cause)
	}
	if p.Status == http.StatusServiceUnavailable {
		w.Header().Set("Retry-After", "5")
	}
	return p, true
}

// errorJSON answers the error as application/problem+json.
func (s *Server) errorJSON(w http.ResponseWriter, r *http.Request, err error) {
	if p, ok := s.report(w, r, err); ok {
		writeJSON(w, p.Status, "application/problem+json", p)
	}
}

// errorPage answers the error as a page.
func (s *Server) errorPage(w http.ResponseWriter, r *http.Request, err error) {
	p, ok := s.report(w, r, err)
	if !ok {
		return
	}
	if err := s.render(w, p.Status, "error.html", p.Title, p); err != nil {
		s.opts.Logger.ErrorContext(r.Context(), "error page failed", "error", err)
		http.Error(w, p.Detail, p.Status)
	}
}
