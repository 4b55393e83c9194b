package main

import (
	"io"
	"net/http"
	"sync"
	"time"

	"github.com/answerfeed/answerfeed/app/event"
)

// subscriber is a service that wants to hear of questions and answers, such as
// the feed: POST /TOPIC with an event. It keeps the answers' ids, and takes as
// long as it was told to. GET / says that it is there, at once.
type subscriber struct {
	mu      sync.Mutex
	delay   time.Duration
	answers map[string]bool
}

func newSubscriber(delay time.Duration) *subscriber {
	return &subscriber{delay: delay, answers: map[string]bool{}}
}

// ServeHTTP takes an event. One that comes twice is one.
func (s *subscriber) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if r.Method == http.MethodGet {
		w.WriteHeader(http.StatusNoContent)
		return
	}
	payload, err := io.ReadAll(http.MaxBytesReader(w, r.Body, event.MaxPayload))
	if err != nil {
		http.Error(w, "the event could not be read", http.StatusBadRequest)
		return
	}
	s.mu.Lock()
	delay := s.delay
	s.mu.Unlock()
	if !pause(r.Context(), delay) {
		return // nobody waits any more
	}
	if r.URL.Path == "/"+event.TopicAnswerAdded {
		e, err := event.DecodeAnswerAdded(payload)
		if err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		s.mu.Lock()
		s.answers[e.AnswerID] = true
		s.mu.Unlock()
	}
	w.WriteHeader(http.StatusNoContent)
}

// slow sets how long it takes from now on.
func (s *subscriber) slow(delay time.Duration) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.delay = delay
}

// has counts the answers that it has of these, and those of others.
func (s *subscriber) has(answers map[string]bool) (of, others int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for id := range s.answers {
		if answers[id] {
			of++
		} else {
			others++
		}
	}
	return of, others
}
