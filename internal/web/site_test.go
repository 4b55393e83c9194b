package web_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/answerfeed/answerfeed/app/database"
	"github.com/answerfeed/answerfeed/app/event"
	"github.com/answerfeed/answerfeed/internal/feed"
	"github.com/answerfeed/answerfeed/internal/leaderboard"
	"github.com/answerfeed/answerfeed/internal/web"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// noon is the time at which all test pages are rendered.
var noon = time.Date(2025, 3, 10, 12, 0, 0, 0, time.UTC)

// site is a running server over real stores in a database of its own.
type site struct {
	t       *testing.T
	db      *database.DB
	feed    *feed.Store
	leaders *leaderboard.Store
	server  *web.Server
	client  *http.Client
	served  chan error // gets Serve's result
	log     *logBuffer
}

// newSite starts a site; change may alter its options.
func newSite(t *testing.T, change ...func(*web.Options)) *site {
	t.Helper()
	s := &site{t: t, client: &http.Client{Transport: &http.Transport{}}, served: make(chan error, 1), log: &logBuffer{}}
	s.client.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }

	var err error
	s.db, err = database.Open(t.Context(), database.Config{Driver: "sqlite", DSN: filepath.Join(t.TempDir(), "feed.db")})
	require.NoError(t, err)
	t.Cleanup(func() { _ = s.db.Close() })
	require.NoError(t, s.db.Migrate(t.Context()))
	s.feed, err = feed.New(s.db, database.Relaxed)
	require.NoError(t, err)
	t.Cleanup(s.feed.Close)
	s.leaders, err = leaderboard.New(s.db, database.Relaxed)
	require.NoError(t, err)
	t.Cleanup(s.leaders.Close)

	opts := s.options()
	for _, c := range change {
		c(&opts)
	}
	s.server, err = web.New(opts)
	require.NoError(t, err)
	go func() { s.served <- s.server.Serve() }()
	t.Cleanup(func() {
		s.client.CloseIdleConnections()
		_ = s.server.Shutdown(context.Background())
	})
	return s
}

func (s *site) options() web.Options {
	return web.Options{
		Config:      web.Config{Listen: "127.0.0.1:0"},
		Feed:        s.feed,
		Leaderboard: s.leaders,
		Backlog:     func(context.Context) ([]web.Queue, error) { return nil, nil },
		Outbox:      func(context.Context) (web.Outbox, error) { return web.Outbox{}, nil },
		Ready:       func(context.Context) web.ReadyReport { return web.ReadyReport{Ready: true} },
		Metrics: http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			_, _ = io.WriteString(w, "up 1\n")
		}),
		Logger: slog.New(slog.NewTextHandler(s.log, nil)),
		Now:    func() time.Time { return noon },
	}
}

// ask takes in a question that was asked so long before noon. Empty fields
// that the contract requires get a value.
func (s *site) ask(q event.QuestionAdded, before time.Duration) {
	s.t.Helper()
	q.OccurredAt = noon.Add(-before)
	if q.Subject == "" {
		q.Subject = "algebra"
	}
	if q.Grade == "" {
		q.Grade = "primary"
	}
	payload, err := q.Encode()
	require.NoError(s.t, err)
	q, err = event.DecodeQuestionAdded(payload)
	require.NoError(s.t, err)
	require.NoError(s.t, s.feed.QuestionAdded(s.t.Context(), q))
}

// answer takes in an answer, as both handlers do.
func (s *site) answer(a event.AnswerAdded, before time.Duration) {
	s.t.Helper()
	a.OccurredAt = noon.Add(-before)
	payload, err := a.Encode()
	require.NoError(s.t, err)
	a, err = event.DecodeAnswerAdded(payload)
	require.NoError(s.t, err)
	require.NoError(s.t, s.feed.AnswerAdded(s.t.Context(), a))
	require.NoError(s.t, s.leaders.AnswerAdded(s.t.Context(), a))
}

// fill gives the site the five questions that most tests read, newest first
// q5 to q1; q4 has two answers and q2 one.
func (s *site) fill() {
	s.ask(event.QuestionAdded{QuestionID: "q1", Title: "What is a prime?", AuthorID: "ada"}, 96*time.Hour)
	s.ask(event.QuestionAdded{QuestionID: "q2", Title: "What is a field?", Grade: "secondary"}, 72*time.Hour)
	s.ask(event.QuestionAdded{QuestionID: "q3", Title: "Who was Gauss?", Subject: "history"}, 48*time.Hour)
	s.ask(event.QuestionAdded{QuestionID: "q4", Title: "Why did Rome fall?", Excerpt: "In a few words.", Subject: "history", Grade: "secondary", AuthorID: "ben"}, 3*time.Hour)
	s.ask(event.QuestionAdded{QuestionID: "q5", Title: "What is zero?"}, 2*time.Minute)
	s.answer(event.AnswerAdded{AnswerID: "a2", QuestionID: "q4", AuthorID: "eve", Excerpt: "Slowly."}, time.Hour)
	s.answer(event.AnswerAdded{AnswerID: "a1", QuestionID: "q4", AuthorID: "ada", Excerpt: "Lead."}, 2*time.Hour)
	s.answer(event.AnswerAdded{AnswerID: "a3", QuestionID: "q2", AuthorID: "ada"}, 71*time.Hour)
}

// response is an answer that was read to its end.
type response struct {
	*http.Response
	body string
}

func (s *site) get(path string) response { return s.do(http.MethodGet, path) }

func (s *site) do(method, path string) response {
	s.t.Helper()
	req, err := http.NewRequestWithContext(s.t.Context(), method, "http://"+s.server.Addr()+path, nil)
	require.NoError(s.t, err)
	resp, err := s.client.Do(req)
	require.NoError(s.t, err)
	defer func() { _ = resp.Body.Close() }()
	body, err := io.ReadAll(resp.Body)
	require.NoError(s.t, err)
	return response{resp, string(body)}
}

// json decodes the body of a 200.
func (r response) json(t *testing.T) map[string]any {
	t.Helper()
	require.Equal(t, http.StatusOK, r.StatusCode, r.body)
	require.Equal(t, "application/json", r.Header.Get("Content-Type"))
	return decode(t, r.body)
}

// problem decodes the body of an error of the API and checks its form.
func (r response) problem(t *testing.T, status int) map[string]any {
	t.Helper()
	require.Equal(t, status, r.StatusCode, r.body)
	require.Equal(t, "application/problem+json", r.Header.Get("Content-Type"))
	p := decode(t, r.body)
	require.Equal(t, "about:blank", p["type"])
	require.Equal(t, http.StatusText(status), p["title"])
	require.EqualValues(t, status, p["status"])
	require.NotEmpty(t, p["detail"])
	return p
}

func decode(t *testing.T, body string) map[string]any {
	t.Helper()
	var v map[string]any
	require.NoError(t, json.Unmarshal([]byte(body), &v), body)
	return v
}

// logBuffer is a log that a test reads while the server writes it.
type logBuffer struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (l *logBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.buf.Write(p)
}

func (l *logBuffer) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.buf.String()
}

var errSecret = errors.New("dial postgres://worker:hunter2@db: refused")
