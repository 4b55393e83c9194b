package docs_test

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/ThreeDotsLabs/watermill/message"
	"github.com/stretchr/testify/require"

	"github.com/answerfeed/answerfeed/app"
	"github.com/answerfeed/answerfeed/app/event"
	"github.com/answerfeed/answerfeed/app/failure"
	"github.com/answerfeed/answerfeed/config"
	"github.com/answerfeed/answerfeed/handlers"
	"github.com/answerfeed/answerfeed/internal/deadletter"
)

var update = flag.Bool("update", false, "write the logs in docs/sequences.md anew")

// sequence is a story of docs/sequences.md, played by a worker on a database of
// its own. Each of those who take part writes a log of its own.
type sequence struct {
	name      string // of its log in the page
	attempts  int
	redeliver []time.Duration
	// mail is what one of the two handlers returns over an attempt; the other,
	// search, does well.
	mail func(s *stage, text string, attempt int) error
	// play publishes, and waits for what it needs to have happened.
	play func(t *testing.T, s *stage)
	// letters is how many the story ends with; end what is to be told then.
	letters int
	end     func(s *stage)
}

var errSick = errors.New("the mail server says no")

var sequences = []sequence{
	{
		name: "redelivery after one failure", attempts: 1, redeliver: []time.Duration{100 * time.Millisecond},
		mail: func(_ *stage, _ string, attempt int) error {
			if attempt == 1 {
				return failure.Transient(errSick)
			}
			return nil
		},
		play: func(t *testing.T, s *stage) { s.publish(t, "a1", 1) },
	},
	{
		name: "dead letter after one failure", attempts: 1,
		mail:    func(*stage, string, int) error { return failure.Transient(errSick) },
		play:    func(t *testing.T, s *stage) { s.publish(t, "a1", 1) },
		letters: 1,
	},
	{
		name: "dead letter on a non-retriable error", attempts: 3, redeliver: []time.Duration{time.Second, time.Minute},
		mail:    func(*stage, string, int) error { return failure.Permanent("no-such-address", errSick) },
		play:    func(t *testing.T, s *stage) { s.publish(t, "a1", 1) },
		letters: 1,
	},
	{
		name: "two messages overtaking each other", attempts: 1, redeliver: []time.Duration{2 * time.Second},
		mail: func(_ *stage, text string, attempt int) error {
			if text == "draft" && attempt == 1 {
				return failure.Transient(errSick)
			}
			return nil
		},
		play: func(t *testing.T, s *stage) {
			s.publish(t, "draft", 1)
			s.wait(t, "search", 1)
			s.wait(t, "mail", 1) // the draft has failed for the moment
			s.publish(t, "final", 2)
		},
		end: func(s *stage) {
			s.say("mail", "last to arrive:   %s", s.lastToArrive)
			s.say("mail", "latest occurred:  %s", s.latest)
		},
	},
}

// stage is a running story.
type stage struct {
	sequence
	client *app.Client

	mu           sync.Mutex
	logs         map[string][]string // by who writes it
	tries        map[string]int      // of mail, by text
	done         map[string]int      // handled, by handler
	published    int
	lastToArrive string
	latest       string
	latestAt     time.Time
}

func (s *stage) say(who, format string, args ...any) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.logs[who] = append(s.logs[who], fmt.Sprintf(format, args...))
}

func (s *stage) publish(t *testing.T, text string, second int) {
	t.Helper()
	e := event.AnswerAdded{AnswerID: "a1", QuestionID: "q1", Excerpt: text, OccurredAt: time.Date(2026, 1, 2, 3, 4, second, 0, time.UTC)}
	payload, err := e.Encode()
	require.NoError(t, err)
	s.published++
	s.say("producer", "publishes %q once", text)
	require.NoError(t, s.client.Publisher().Publish(event.TopicAnswerAdded, message.NewMessage("", payload)))
}

// wait waits until somebody has written so many lines.
func (s *stage) wait(t *testing.T, who string, lines int) {
	t.Helper()
	require.Eventually(t, func() bool {
		s.mu.Lock()
		defer s.mu.Unlock()
		return len(s.logs[who]) >= lines
	}, time.Minute, time.Millisecond)
}

func (s *stage) handlers() []handlers.Handler {
	on := func(name string, fn func(context.Context, event.AnswerAdded) error) handlers.Handler {
		return handlers.Handler{Name: name, Topics: func(handlers.Env) []handlers.Topic {
			return []handlers.Topic{app.On(event.TopicAnswerAdded, event.DecodeAnswerAdded, fn)}
		}}
	}
	finish := func(who string) {
		s.mu.Lock()
		defer s.mu.Unlock()
		s.done[who]++
	}
	return []handlers.Handler{
		on("search", func(_ context.Context, e event.AnswerAdded) error {
			s.say("search", "handles %q", e.Excerpt)
			finish("search")
			return nil
		}),
		on("mail", func(_ context.Context, e event.AnswerAdded) error {
			s.mu.Lock()
			s.tries[e.Excerpt]++
			attempt := s.tries[e.Excerpt]
			s.mu.Unlock()
			if err := s.mail(s, e.Excerpt, attempt); err != nil {
				s.say("mail", "attempt %d at %q fails: %v", attempt, e.Excerpt, err)
				return err
			}
			s.say("mail", "attempt %d at %q does well", attempt, e.Excerpt)
			s.mu.Lock()
			s.lastToArrive = e.Excerpt
			if e.OccurredAt.After(s.latestAt) {
				s.latest, s.latestAt = e.Excerpt, e.OccurredAt
			}
			s.mu.Unlock()
			finish("mail")
			return nil
		}),
	}
}

// The logs in the page are what a worker prints.
func TestSequences(t *testing.T) {
	page := read(t, "docs/sequences.md")
	for _, q := range sequences {
		t.Run(q.name, func(t *testing.T) {
			log := q.run(t)
			begin, end := "<!-- "+q.name+" -->\n", "<!-- end -->"
			_, rest, found := strings.Cut(page, begin)
			require.True(t, found, "docs/sequences.md has no place for this log")
			old, _, found := strings.Cut(rest, end)
			require.True(t, found)
			want := "```\n" + log + "```\n"
			if *update {
				page = strings.Replace(page, begin+old, begin+want, 1)
				return
			}
			require.Equal(t, want, old, "run `go test ./test/docs -update`")
		})
	}
	if *update {
		require.NoError(t, os.WriteFile("../../docs/sequences.md", []byte(page), 0o600))
	}
}

// run plays the story and returns the logs of all who took part.
func (q sequence) run(t *testing.T) string {
	t.Helper()
	s := &stage{sequence: q, logs: map[string][]string{}, tries: map[string]int{}, done: map[string]int{}}
	all := s.handlers()
	file := filepath.Join(t.TempDir(), "sequences.db")
	loaded, err := config.Load(config.Options{Environ: []string{}, Handlers: app.Declare(all), Overrides: map[string]any{
		"transport.sql.dsn": file, "database.dsn": file, "web.listen": "127.0.0.1:0",
	}})
	require.NoError(t, err)
	mail := loaded.Config.Handlers["mail"]
	mail.Retry = config.Retry{Attempts: q.attempts, Backoff: time.Millisecond, Redeliver: q.redeliver}
	loaded.Config.Handlers["mail"] = mail
	opts := app.Options{Config: loaded.Config, Handlers: all, Logger: slog.New(slog.DiscardHandler)}
	a, err := app.New(t.Context(), opts)
	require.NoError(t, err)
	defer func() { require.NoError(t, a.Stop(context.WithoutCancel(t.Context()))) }()
	require.NoError(t, a.Start(t.Context()))
	s.client, err = app.Open(t.Context(), opts)
	require.NoError(t, err)
	defer func() { require.NoError(t, s.client.Close()) }()

	q.play(t, s)
	desk := s.client.Desk("nobody")
	var letters []*deadletter.Letter
	require.Eventually(t, func() bool {
		found, err := desk.List(t.Context(), deadletter.Filter{}, 10, "")
		letters = found.Letters
		s.mu.Lock()
		defer s.mu.Unlock()
		return err == nil && len(letters) == q.letters && s.done["search"] == s.published && s.done["mail"] == s.published-q.letters
	}, time.Minute, time.Millisecond)
	if q.end != nil {
		q.end(s)
	}
	for _, l := range letters {
		s.say("desk", "a letter of %s: %s after %d attempt(s)", l.Handler, l.Reason, l.Attempts)
	}
	if len(letters) == 0 {
		s.say("desk", "nothing")
	}
	var out strings.Builder
	for _, who := range []string{"producer", "search", "mail", "desk"} {
		for _, line := range s.logs[who] {
			fmt.Fprintf(&out, "%-9s %s\n", who+":", line)
		}
	}
	return out.String()
}
