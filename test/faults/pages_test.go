package faults

import (
	"context"
	"encoding/json"
	"io"
	"net/http"
	"net/url"
	"regexp"
	"strconv"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func (w *worker) get(t require.TestingT, path string, into any) {
	require.NoError(t, json.Unmarshal(w.page(t, path), into), path)
}

func (w *worker) page(t require.TestingT, path string) []byte {
	ctx, cancel := context.WithTimeout(context.Background(), within)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, w.base+path, nil)
	require.NoError(t, err)
	response, err := http.DefaultClient.Do(request)
	require.NoError(t, err)
	defer response.Body.Close()
	require.Equal(t, http.StatusOK, response.StatusCode, path)
	body, err := io.ReadAll(response.Body)
	require.NoError(t, err)
	return body
}

type item struct {
	QuestionID    string     `json:"question_id"`
	AskedAt       time.Time  `json:"asked_at"`
	Answered      bool       `json:"answered"`
	AnswerCount   int        `json:"answer_count"`
	FirstAnswerID *string    `json:"first_answer_id"`
	LastAnswerAt  *time.Time `json:"last_answer_at"`
}

// feed reads every page, of a filter such as answered=false.
func (w *worker) feed(t require.TestingT, filter string) []item {
	var all []item
	for cursor := ""; ; {
		var page struct {
			Items      []item `json:"items"`
			NextCursor string `json:"next_cursor"`
		}
		w.get(t, "/api/feed?limit=100&"+filter+"&cursor="+url.QueryEscape(cursor), &page)
		all = append(all, page.Items...)
		if cursor = page.NextCursor; cursor == "" {
			return all
		}
	}
}

// leaderboard is the first hundred authors with the number of their answers.
func (w *worker) leaderboard(t require.TestingT) map[string]int {
	var body struct {
		Authors []struct {
			AuthorID string `json:"author_id"`
			Answers  int
		}
	}
	w.get(t, "/api/leaderboard?limit=100", &body)
	scores := map[string]int{}
	for _, a := range body.Authors {
		scores[a.AuthorID] = a.Answers
	}
	return scores
}

// subjects is how many questions each has.
func (w *worker) subjects(t require.TestingT) map[string]int {
	var body struct {
		Subjects []struct {
			Subject   string
			Questions int
		}
	}
	w.get(t, "/api/subjects", &body)
	counts := map[string]int{}
	for _, s := range body.Subjects {
		counts[s.Subject] = s.Questions
	}
	return counts
}

type queue struct {
	Handler, Topic                 string
	Ready, InFlight, Delayed, Dead int
}

// backlog is /api/backlog as a list.
func (w *worker) backlog(t require.TestingT) []queue {
	type figures struct {
		Ready, Delayed, Dead int
		InFlight             int `json:"in_flight"`
	}
	var body struct {
		Handlers map[string]struct{ Topics map[string]figures }
	}
	w.get(t, "/api/backlog", &body)
	var all []queue
	for handler, h := range body.Handlers {
		for topic, f := range h.Topics {
			all = append(all, queue{Handler: handler, Topic: topic, Ready: f.Ready, InFlight: f.InFlight, Delayed: f.Delayed, Dead: f.Dead})
		}
	}
	return all
}

// left counts the messages that are not handled yet.
func (w *worker) left(t require.TestingT) (n int) {
	for _, q := range w.backlog(t) {
		n += q.Ready + q.InFlight + q.Delayed
	}
	return n
}

var inFlight = regexp.MustCompile(`answerfeed_in_flight\{handler="(\S+)",topic="\S+"\} (\d+)`)

// inFlight is how many messages the handler has in work, in this process.
func (w *worker) inFlight(t require.TestingT, handler string) (n int) {
	for _, m := range inFlight.FindAllStringSubmatch(string(w.page(t, "/metrics")), -1) {
		if m[1] == handler {
			k, err := strconv.Atoi(m[2])
			require.NoError(t, err)
			n += k
		}
	}
	return n
}

// noLetters requires that nothing was dead-lettered.
func (w *worker) noLetters(t require.TestingT) {
	for _, q := range w.backlog(t) {
		require.Zero(t, q.Dead, "dead letters of %s on %s", q.Handler, q.Topic)
	}
}

// drained waits until every message was handled. On AMQP a message between
// broker and worker is counted by nobody: so nothing must be left for a while.
func (w *worker) drained(t testing.TB) {
	t.Helper()
	quiet := 0
	require.Eventually(t, func() bool {
		if quiet++; w.left(t) > 0 {
			quiet = 0
		}
		return quiet == 10
	}, within, 20*time.Millisecond, "the backlog is not drained")
}
