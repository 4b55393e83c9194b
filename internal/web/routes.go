package web

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"runtime/debug"
)

// contentPolicy allows the stylesheet and the icon of this server and nothing
// else: should a title ever escape its escaping, there is nothing it could run.
const contentPolicy = "default-src 'none'; style-src 'self'; img-src 'self'; " +
	"base-uri 'none'; form-action 'self'; frame-ancestors 'none'"

func (s *Server) routes() http.Handler {
	mux := http.NewServeMux()

	// An id may hold slashes, as those of an imported site do. Links escape them; people may not.
	page := func(path string, h handler) { get(mux, path, s.errorPage, h) }
	page("/{$}", s.feedPage)
	page("/questions/{id...}", s.questionPage)
	page("/leaderboard", s.leaderboardPage)
	page("/assets/{name}", s.asset)
	mux.Handle("/", unknown(s.errorPage))

	api := func(path string, h handler) { get(mux, path, s.errorJSON, h) }
	api("/api/feed", s.apiFeed)
	api("/api/questions/{id...}", s.apiQuestion)
	api("/api/subjects", s.apiSubjects)
	api("/api/leaderboard", s.apiLeaderboard)
	api("/api/backlog", s.apiBacklog)
	api("/livez", s.livez)
	api("/readyz", s.readyz)
	api("/metrics", s.metrics)
	mux.Handle("/api/", unknown(s.errorJSON))

	return bounded(s.known(mux))
}

// handler answers a request, or returns why not before it has written a byte.
type handler func(w http.ResponseWriter, r *http.Request) error

// fail answers a request that a handler could not: as a page or as JSON.
type fail func(w http.ResponseWriter, r *http.Request, err error)

// get routes GET and HEAD of path to h, and every other method to a 405 in the
// form of the route; the mux alone would answer that in plain text.
func get(mux *http.ServeMux, path string, fail fail, h handler) {
	mux.HandleFunc("GET "+path, func(w http.ResponseWriter, r *http.Request) {
		if err := caught(h, w, r); err != nil {
			fail(w, r, err)
		}
	})
	mux.HandleFunc(path, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Allow", "GET, HEAD")
		fail(w, r, newProblem(http.StatusMethodNotAllowed, "This address can only be read: use GET or HEAD."))
	})
}

func unknown(fail fail) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		fail(w, r, newProblem(http.StatusNotFound, "There is nothing at this address."))
	}
}

// caught turns a panic of h into an error, so that a fault in one request is
// answered and logged like any other.
func caught(h handler, w http.ResponseWriter, r *http.Request) (err error) {
	defer func() {
		switch v := recover(); v {
		case nil:
		case http.ErrAbortHandler:
			panic(v) //nolint:forbidigo // asked for by the handler, and known to net/http
		default:
			err = fault(fmt.Errorf("panic: %v\n%s", v, debug.Stack()))
		}
	}()
	return h(w, r)
}

// bounded gives every response its headers and every request its deadline.
func bounded(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h := w.Header()
		h.Set("Content-Security-Policy", contentPolicy)
		h.Set("X-Content-Type-Options", "nosniff")
		h.Set("Referrer-Policy", "same-origin")
		h.Set("Cache-Control", "no-cache")
		ctx, cancel := context.WithTimeoutCause(r.Context(), queryTimeout,
			errors.New("the request took longer than "+queryTimeout.String()))
		defer cancel()
		next.ServeHTTP(w, r.WithContext(ctx))
	})
}
