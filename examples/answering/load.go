package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"
	"time"
)

// patience is how long an author, and whoever measures, waits at most.
const patience = 2 * time.Minute

// load is authors who answer.
type load struct {
	client *http.Client
	site   string
	plan   plan

	question string
	mu       sync.Mutex
	took     []time.Duration
	accepted map[string]bool // by answer id
}

func newLoad(site string, p plan) *load {
	return &load{
		site: site, plan: p, accepted: map[string]bool{},
		client: &http.Client{Timeout: patience, Transport: &http.Transport{MaxIdleConnsPerHost: p.Authors}},
	}
}

// ask asks the question.
func (l *load) ask(ctx context.Context) error {
	stored, status, err := l.post(ctx, "/questions", url.Values{
		"title": {"Why is the sky blue?"}, "subject": {"physics"}, "grade": {"school"}, "author": {"ada"},
	})
	if err == nil && status != http.StatusCreated {
		err = fmt.Errorf("asking the question: the site answered %d", status)
	}
	l.question = stored["question_id"]
	return err
}

// answer lets all authors answer, each one answer after the other.
func (l *load) answer(ctx context.Context) error {
	began, failed := time.Now(), make(chan error, l.plan.Authors)
	var authors sync.WaitGroup
	for author := range l.plan.Authors {
		authors.Go(func() {
			for n := author; n < l.plan.Answers; n += l.plan.Authors {
				if n >= l.plan.Least && time.Since(began) > l.plan.Within || !pause(ctx, l.plan.Pause) {
					return
				}
				if err := l.one(ctx, fmt.Sprintf("author %d", author)); err != nil {
					failed <- err
					return
				}
			}
		})
	}
	authors.Wait()
	close(failed)
	return errors.Join(ctx.Err(), <-failed)
}

// pause returns false when ctx ends first.
func pause(ctx context.Context, d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-ctx.Done():
		return false
	}
}

// one is one answer; that the site refuses it is a result and no error.
func (l *load) one(ctx context.Context, author string) error {
	began := time.Now()
	stored, status, err := l.post(ctx, "/questions/"+l.question+"/answers", url.Values{
		"author": {author}, "text": {"Short waves scatter more than long ones."},
	})
	took := time.Since(began)
	if err != nil {
		return fmt.Errorf("answering: %w", err)
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.took = append(l.took, took)
	if status == http.StatusCreated {
		l.accepted[stored["answer_id"]] = true
	}
	return nil
}

func (l *load) post(ctx context.Context, path string, form url.Values) (stored map[string]string, status int, err error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, l.site+path, strings.NewReader(form.Encode()))
	if err != nil {
		return nil, 0, err
	}
	request.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	response, err := l.client.Do(request)
	if err != nil {
		return nil, 0, err
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	if err == nil && response.StatusCode == http.StatusCreated {
		err = json.Unmarshal(body, &stored)
	}
	return stored, response.StatusCode, err
}

// figures are what the authors saw.
func (l *load) figures() figures {
	slices.Sort(l.took)
	return figures{
		Answers: len(l.took), Accepted: len(l.accepted),
		P50: percentile(l.took, 50), P99: percentile(l.took, 99),
	}
}

// percentile is the least value that so many of a hundred do not exceed.
func percentile(sorted []time.Duration, of int) time.Duration {
	if len(sorted) == 0 {
		return 0
	}
	return sorted[(len(sorted)*of+99)/100-1]
}
