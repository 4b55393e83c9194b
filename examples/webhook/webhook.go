package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"time"

	"github.com/answerfeed/answerfeed/app"
	"github.com/answerfeed/answerfeed/app/event"
	"github.com/answerfeed/answerfeed/app/failure"
	"github.com/answerfeed/answerfeed/handlers"
)

// maxAnswer is how much of a response is read, so that its connection can be
// used again. A longer one costs the connection.
const maxAnswer = 64 << 10

// Options are the handler's own settings: handlers.webhook.options.
type Options struct {
	// URL is where answers are posted. Empty, each message waits: it is tried
	// again as for a service that is away.
	URL string `yaml:"url"`
	// Timeout bounds one request. It should be shorter than the handler's
	// timeout, which bounds the attempt. Defaults to 5s.
	Timeout time.Duration `yaml:"timeout"`
}

// Webhook posts each new answer to a service.
func Webhook() handlers.Handler {
	return handlers.Handler{
		Name:        "webhook",
		Options:     &Options{Timeout: 5 * time.Second},
		Concurrency: 50, // requests at once
		Topics: func(e handlers.Env) []handlers.Topic {
			options := *e.Options.(*Options)
			p := poster{url: options.URL, client: &http.Client{
				Timeout: options.Timeout,
				// A service that has moved is a setting to change: following
				// it would send answers to whoever it names.
				CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
			}}
			return []handlers.Topic{app.On(event.TopicAnswerAdded, event.DecodeAnswerAdded, p.answered)}
		},
	}
}

type poster struct {
	url    string
	client *http.Client
}

// errNoURL is transient: messages wait until somebody sets it.
var errNoURL = failure.Transient(errors.New("handlers.webhook.options.url is not set"))

// answered posts one answer. It may do so twice, after a crash or a timeout;
// the service tells by Idempotency-Key that it is the same one.
func (p poster) answered(ctx context.Context, e event.AnswerAdded) error {
	if p.url == "" {
		return errNoURL
	}
	body, err := json.Marshal(map[string]any{
		"question_id": e.QuestionID, "answer_id": e.AnswerID, "author_id": e.AuthorID, "answered_at": e.OccurredAt,
	})
	if err != nil {
		return fmt.Errorf("encoding the answer: %w", err)
	}
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, p.url, bytes.NewReader(body))
	if err != nil {
		return failure.Permanent("bad-url", err)
	}
	request.Header.Set("Content-Type", "application/json")
	if m := event.MessageOf(ctx); m != nil {
		request.Header.Set("Idempotency-Key", m.Identity())
		request.Header.Set("X-Correlation-ID", m.CorrelationID)
	}
	response, err := p.client.Do(request)
	if err != nil {
		return err // what the network reports is recognised
	}
	defer response.Body.Close()
	_, _ = io.CopyN(io.Discard, response.Body, maxAnswer) // of no interest
	if response.StatusCode >= 300 && response.StatusCode < 400 {
		return failure.Permanent("moved", fmt.Errorf("the service answered %d: it has moved", response.StatusCode))
	}
	return failure.FromHTTP(response)
}
