package main

import (
	"bufio"
	"context"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/answerfeed/answerfeed/app/outbox"
)

// newSite is the site in async mode on a new file.
func newSite(t *testing.T) *site {
	t.Helper()
	db, err := openDatabase(t.Context(), embedded(t))
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, db.Close()) })
	return &site{db, throughOutbox, quiet()}
}

func (s *site) serve(r *http.Request) *httptest.ResponseRecorder {
	w := httptest.NewRecorder()
	s.routes().ServeHTTP(w, r)
	return w
}

func form(path string, fields ...string) *http.Request {
	values := url.Values{}
	for i := 0; i < len(fields); i += 2 {
		values.Set(fields[i], fields[i+1])
	}
	r := httptest.NewRequest(http.MethodPost, path, strings.NewReader(values.Encode()))
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	return r
}

func (s *site) asked(t *testing.T, title string) (id string) {
	t.Helper()
	w := s.serve(form("/questions", "title", title, "subject", "physics", "grade", "school", "author", "ada"))
	require.Equal(t, http.StatusCreated, w.Code, w.Body)
	var stored map[string]string
	require.NoError(t, json.Unmarshal(w.Body.Bytes(), &stored))
	return stored["question_id"]
}

func TestSite_ShowsWhatItStored(t *testing.T) {
	s := newSite(t)
	id := s.asked(t, "Is 1 < 2?")
	r := form("/questions/"+id+"/answers", "author", "bob", "text", "<b>Yes</b>")
	r.Header.Set("Accept", "text/html,*/*")
	w := s.serve(r)
	require.Equal(t, http.StatusSeeOther, w.Code)
	require.Equal(t, "/", w.Header().Get("Location"))

	w = s.serve(httptest.NewRequest(http.MethodGet, "/", nil))
	require.Equal(t, http.StatusOK, w.Code)
	require.Contains(t, w.Body.String(), "Is 1 &lt; 2?")
	require.Contains(t, w.Body.String(), "&lt;b&gt;Yes&lt;/b&gt; <small>bob</small>")
	require.Contains(t, w.Body.String(), `action="/questions/`+id+`/answers"`)

	b, err := outbox.Count(t.Context(), s.db)
	require.NoError(t, err)
	require.EqualValues(t, 2, b.Waiting, "an event for each")
}

func TestSite_RefusesAndStoresNothing(t *testing.T) {
	s := newSite(t)
	id := s.asked(t, "Why?")
	foreign := form("/questions/"+id+"/answers", "author", "bob", "text", "x")
	foreign.Header.Set("Sec-Fetch-Site", "cross-site")
	for name, test := range map[string]struct {
		request *http.Request
		status  int
	}{
		"no grade":         {form("/questions", "title", "x", "subject", "physics"), http.StatusBadRequest},
		"long subject":     {form("/questions", "title", "x", "subject", strings.Repeat("x", 65), "grade", "school"), http.StatusBadRequest},
		"no such question": {form("/questions/none/answers", "author", "bob", "text", "x"), http.StatusNotFound},
		"long author":      {form("/questions/"+id+"/answers", "author", strings.Repeat("x", 129), "text", "x"), http.StatusBadRequest},
		"another site":     {foreign, http.StatusForbidden},
		"no route":         {form("/answers"), http.StatusNotFound},
	} {
		t.Run(name, func(t *testing.T) {
			w := s.serve(test.request)
			require.Equal(t, test.status, w.Code, w.Body)
		})
	}
	questions, err := newest(t.Context(), s.db)
	require.NoError(t, err)
	require.Len(t, questions, 1)
	require.Empty(t, questions[0].Answers)
	b, err := outbox.Count(t.Context(), s.db)
	require.NoError(t, err)
	require.EqualValues(t, 1, b.Waiting)
}

func TestCut(t *testing.T) {
	require.Equal(t, "äö", cut("äöü", 2))
	require.Equal(t, "äöü", cut("äöü", 3))
	require.Empty(t, cut("", 3))
}

// A text that is longer than an event may be is stored whole; the event has its
// beginning.
func TestSite_LongAnswer(t *testing.T) {
	s := newSite(t)
	id := s.asked(t, "Why?")
	w := s.serve(form("/questions/"+id+"/answers", "author", "bob", "text", strings.Repeat("ä", 5000)))
	require.Equal(t, http.StatusCreated, w.Code, w.Body)
	questions, err := newest(t.Context(), s.db)
	require.NoError(t, err)
	require.Equal(t, strings.Repeat("ä", 5000), questions[0].Answers[0].Text)
}

// started is the program with these arguments; it ends with the test.
func started(t *testing.T, args ...string) (at string) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	out, in := io.Pipe()
	ended := make(chan error, 1)
	go func() { ended <- run(ctx, append(args, "-listen", "127.0.0.1:0"), in, io.Discard) }()
	t.Cleanup(func() { cancel(); require.NoError(t, <-ended) })
	line, err := bufio.NewReader(out).ReadString('\n')
	require.NoError(t, err)
	return strings.TrimSpace(strings.TrimPrefix(line, "serving at "))
}

// The command line of the README: a subscriber, the site in front of it, and
// what happens when the subscriber is gone.
func TestRun_Modes(t *testing.T) {
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	for _, mode := range []string{modeSync, modeAsync} {
		t.Run(mode, func(t *testing.T) {
			t.Setenv("WORKER_DATABASE_DSN", filepath.Join(t.TempDir(), "site.db"))
			feed, err := listen("127.0.0.1:0", newSubscriber(0))
			require.NoError(t, err)
			args := []string{"--mode", mode}
			if mode == modeSync {
				args = append(args, "--subscribers", started(t, "--mode", "subscriber")+","+feed.url())
			}
			l := newLoad(strings.TrimSuffix(started(t, args...), "/"), plan{})
			l.client = client
			require.NoError(t, l.ask(t.Context()))
			require.NoError(t, l.one(t.Context(), "bob"))
			require.NoError(t, feed.kill())
			require.NoError(t, l.one(t.Context(), "bob"))
			require.Len(t, l.took, 2)
			require.Len(t, l.accepted, map[string]int{modeSync: 1, modeAsync: 2}[mode])
		})
	}
}

func TestRun_TellsWhatIsWrong(t *testing.T) {
	for want, args := range map[string][]string{
		"no.yaml":      {"-config", filepath.Join(t.TempDir(), "no.yaml")},
		"flags alone":  {"sync"},
		"--mode both":  {"--mode", "both"},
		"for sync":     {"--mode", "async", "--subscribers", "http://127.0.0.1:1/"},
		"1 answer":     {"--measure", "--answers", "0"},
		`-o: "xml"`:    {"--measure", "-o", "xml"},
		"invalid port": {"--mode", "subscriber", "-listen", "127.0.0.1:99999"},
	} {
		t.Run(want, func(t *testing.T) {
			require.ErrorContains(t, run(t.Context(), args, io.Discard, io.Discard), want)
		})
	}
}
