package main

import (
	"bufio"
	"bytes"
	"context"
	"crypto/rand"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/answerfeed/answerfeed/app/database"
)

// started is the program in this process, with these settings in the
// environment; it ends with the test.
func started(t *testing.T, settings map[string]string, log io.Writer, args ...string) browser {
	t.Helper()
	t.Setenv("WORKER_WEB_LISTEN", "127.0.0.1:0")
	for key, value := range settings {
		t.Setenv(key, value)
	}
	ctx, cancel := context.WithCancel(t.Context())
	out, in := io.Pipe()
	ended := make(chan error, 1)
	go func() { ended <- run(ctx, append(args, "-listen", "127.0.0.1:0"), in, log) }()
	t.Cleanup(func() { cancel(); require.NoError(t, <-ended) })
	line, err := bufio.NewReader(out).ReadString('\n')
	require.NoError(t, err)
	return newBrowser(strings.TrimSpace(strings.TrimPrefix(line, "serving at ")))
}

func TestSaga_CompleteOrUndone(t *testing.T) {
	t.Run("SQLite", func(t *testing.T) {
		file := filepath.Join(t.TempDir(), "saga.db")
		cfg := database.Config{Driver: database.SQLite, DSN: file}
		test(t, cfg, map[string]string{"WORKER_DATABASE_DSN": file, "WORKER_TRANSPORT_SQL_DSN": file})
	})
	t.Run("PostgreSQL and RabbitMQ", func(t *testing.T) {
		p, err := postgres()
		require.NoError(t, err)
		dsn, err := p.Database(t.Context())
		require.NoError(t, err)
		b, err := broker()
		require.NoError(t, err)
		test(t, database.Config{Driver: database.Postgres, DSN: dsn}, map[string]string{
			"WORKER_DATABASE_DRIVER": "postgres", "WORKER_DATABASE_DSN": dsn,
			"WORKER_TRANSPORT_KIND": "amqp", "WORKER_TRANSPORT_AMQP_URL": b.URL, "WORKER_TRANSPORT_PREFIX": strings.ToLower(rand.Text()[:10]) + "-",
		})
	})
}

func test(t *testing.T, cfg database.Config, settings map[string]string) {
	b := started(t, settings, io.Discard, "-within", "5s")
	db := open(t, cfg)
	questions := []string{"q1", "q2", "q3"}
	ask(t, db, questions[:2]...)

	var mu sync.Mutex
	takenBack := map[string]bool{}
	var all sync.WaitGroup
	for n := range 8 {
		for i, text := range texts() {
			all.Go(func() {
				question := questions[(n+i)%len(questions)]
				id, err := b.answer(t, question, fmt.Sprintf("author%d", i), text, "")
				if err == nil && n < 2 { // at once, or as soon as it is decided
					err = b.takeBack(t, question, id)
					mu.Lock()
					takenBack[id] = true
					mu.Unlock()
				}
				if err != nil {
					t.Error(err)
				}
			})
		}
	}
	all.Wait()
	ask(t, db, questions[2]) // after its answers
	var wrong error
	var accepted, undone int
	require.Eventually(t, func() bool {
		accepted, undone, wrong = atRest(t.Context(), db, questions, takenBack)
		return wrong == nil
	}, time.Minute, 200*time.Millisecond, "it never comes right")
	require.Equal(t, 8*len(texts()), accepted+undone)
	require.GreaterOrEqual(t, undone, 6*4+2*len(texts()))

	// Complete ones, too, can be undone.
	rest, err := sagas(t.Context(), db)
	require.NoError(t, err)
	for _, s := range rest {
		if s.state == stateAccepted {
			require.NoError(t, b.takeBack(t, s.question, s.id))
			takenBack[s.id] = true
		}
	}
	require.Eventually(t, func() bool {
		accepted, _, wrong = atRest(t.Context(), db, questions, takenBack)
		return wrong == nil
	}, time.Minute, 200*time.Millisecond, "it is never undone")
	require.Zero(t, accepted)
}

// lines is a log that may be read while it is written.
type lines struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (l *lines) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(p)
}

// about are the messages of the lines about an answer, each of which must have
// the correlation id.
func (l *lines) about(t *testing.T, answer, correlation string) (messages []string) {
	t.Helper()
	l.mu.Lock()
	defer l.mu.Unlock()
	for line := range strings.Lines(l.text.String()) {
		if strings.Contains(line, answer) {
			require.Regexp(t, `correlation_id=`+correlation+`\n$`, line)
			messages = append(messages, regexp.MustCompile(`msg="([^"]*)"`).FindStringSubmatch(line)[1])
		}
	}
	return messages
}

// One correlation id from the request to the last line of the log, whichever way
// a saga goes.
func TestSaga_OneCorrelationID(t *testing.T) {
	for name, test := range map[string]struct {
		text, within string
		want         []string
	}{
		"accepted": {"Short waves.", "1h", []string{"answer stored", "answer moderated", "answer decided", "points granted"}},
		"refused":  {"Buy spam!", "1h", []string{"answer stored", "answer moderated", "answer decided"}},
		"too late": {"Hmm.", "1s", []string{"answer stored", "moderation does not answer", "answer undone"}},
	} {
		t.Run(name, func(t *testing.T) {
			var log lines
			file := filepath.Join(t.TempDir(), "saga.db")
			b := started(t, map[string]string{"WORKER_DATABASE_DSN": file, "WORKER_TRANSPORT_SQL_DSN": file}, &log, "-within", test.within)
			id, err := b.answer(t, "q1", "ada", test.text, "request-1")
			require.NoError(t, err)
			require.Eventually(t, func() bool { return len(log.about(t, id, "request-1")) == len(test.want) }, time.Minute, 5*time.Millisecond)
			require.ElementsMatch(t, test.want, log.about(t, id, "request-1"))
			reply, status, err := b.do(t, http.MethodGet, "/answers/"+id, "", nil)
			require.NoError(t, err)
			require.Equal(t, http.StatusOK, status)
			require.Equal(t, condemned(test.text), reply["state"] == stateUndone)
		})
	}
}

func TestSite_Refuses(t *testing.T) {
	file := filepath.Join(t.TempDir(), "saga.db")
	b := started(t, map[string]string{"WORKER_DATABASE_DSN": file, "WORKER_TRANSPORT_SQL_DSN": file}, io.Discard)
	for name, test := range map[string]struct {
		method, path, author string
		status               int
	}{
		"no author":          {http.MethodPost, "/questions/q1/answers", "", http.StatusBadRequest},
		"long author":        {http.MethodPost, "/questions/q1/answers", strings.Repeat("x", 129), http.StatusBadRequest},
		"nobody's answer":    {http.MethodDelete, "/questions/q1/answers/none", "ada", http.StatusNotFound},
		"no such answer":     {http.MethodGet, "/answers/none", "", http.StatusNotFound},
		"points":             {http.MethodGet, "/points", "", http.StatusOK},
		"an answer, at last": {http.MethodPost, "/questions/q1/answers", "ada", http.StatusCreated},
	} {
		t.Run(name, func(t *testing.T) {
			_, status, err := b.do(t, test.method, test.path, strings.Repeat("x", 200), url.Values{"author": {test.author}})
			require.NoError(t, err)
			require.Equal(t, test.status, status)
		})
	}
}

func TestRun_TellsWhatIsWrong(t *testing.T) {
	file := filepath.Join(t.TempDir(), "saga.db")
	t.Setenv("WORKER_DATABASE_DSN", file)
	t.Setenv("WORKER_TRANSPORT_SQL_DSN", file)
	t.Setenv("WORKER_WEB_LISTEN", "127.0.0.1:0")
	for want, args := range map[string][]string{
		"no.yaml":      {"-config", filepath.Join(t.TempDir(), "no.yaml")},
		"flags alone":  {"now"},
		"some time":    {"-within", "0s"},
		"invalid port": {"-listen", "127.0.0.1:99999"},
	} {
		t.Run(want, func(t *testing.T) {
			require.ErrorContains(t, run(t.Context(), args, io.Discard, io.Discard), want)
		})
	}
}
