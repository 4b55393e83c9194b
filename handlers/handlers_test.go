package handlers_test

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/answerfeed/answerfeed/app/database"
	"github.com/answerfeed/answerfeed/app/event"
	"github.com/answerfeed/answerfeed/app/failure"
	"github.com/answerfeed/answerfeed/handlers"
	"github.com/answerfeed/answerfeed/internal/feed"
	"github.com/answerfeed/answerfeed/internal/leaderboard"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// env is real stores on a new file.
func env(t *testing.T) handlers.Env {
	t.Helper()
	db, err := database.Open(t.Context(), database.Config{Driver: database.SQLite, DSN: filepath.Join(t.TempDir(), "test.db")})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, db.Close()) })
	require.NoError(t, db.Migrate(t.Context()))
	questions, err := feed.New(db, database.Relaxed)
	require.NoError(t, err)
	t.Cleanup(questions.Close)
	board, err := leaderboard.New(db, database.Relaxed)
	require.NoError(t, err)
	t.Cleanup(board.Close)
	return handlers.Env{DB: db, Feed: questions, Leaderboard: board}
}

// send gives a payload to h's topic, as the router does.
func send(t *testing.T, h handlers.Handler, e handlers.Env, topic, payload string) error {
	t.Helper()
	for _, candidate := range h.Topics(e) {
		if candidate.Name == topic {
			return candidate.Handle(t.Context(), []byte(payload))
		}
	}
	require.Failf(t, "no such topic", "%s does not take %s", h.Name, topic)
	return nil
}

func topics(h handlers.Handler) []string {
	var names []string
	for _, topic := range h.Topics(handlers.Env{Options: h.Options}) {
		names = append(names, topic.Name)
	}
	return names
}

func question(id, at string) string {
	return fmt.Sprintf(`{"question_id":%q,"title":"Why?","subject":"biology","grade":"school","occurred_at":%q}`, id, at)
}

func answer(id, question, author, at string) string {
	return fmt.Sprintf(`{"answer_id":%q,"question_id":%q,"author_id":%q,"occurred_at":%q}`, id, question, author, at)
}

func removal(id, question string) string {
	return fmt.Sprintf(`{"answer_id":%q,"question_id":%q,"reason":"refused","occurred_at":"2026-01-09T00:00:00Z"}`, id, question)
}

const (
	day1 = "2026-01-01T00:00:00Z"
	day2 = "2026-01-02T00:00:00Z"
	day3 = "2026-01-03T00:00:00Z"
)

type sent struct{ topic, payload string }

func TestFeed(t *testing.T) {
	require.Equal(t, []string{event.TopicQuestionAdded, event.TopicAnswerAdded, event.TopicAnswerRemoved}, topics(handlers.Feed()))
	asked := sent{event.TopicQuestionAdded, question("q1", day1)}
	first, second := sent{event.TopicAnswerAdded, answer("a1", "q1", "ann", day2)}, sent{event.TopicAnswerAdded, answer("a2", "q1", "bob", day3)}
	gone := sent{event.TopicAnswerRemoved, removal("a1", "q1")}
	tests := map[string]struct {
		sent    []sent
		answers int
		first   string
	}{
		"a question":                        {[]sent{asked}, 0, ""},
		"answered":                          {[]sent{asked, first}, 1, "a1"},
		"answered twice":                    {[]sent{asked, second, first}, 2, "a1"},
		"the same message twice":            {[]sent{asked, asked, first, first}, 1, "a1"},
		"the answer first":                  {[]sent{first, asked}, 1, "a1"},
		"an answer removed":                 {[]sent{asked, first, second, gone}, 1, "a2"},
		"removed before it came":            {[]sent{gone, first, asked}, 0, ""},
		"removed, and added again for sure": {[]sent{asked, first, gone, first}, 0, ""},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			e := env(t)
			for _, s := range test.sent {
				require.NoError(t, send(t, handlers.Feed(), e, s.topic, s.payload))
			}
			item, answers, err := e.Feed.Question(t.Context(), "q1")
			require.NoError(t, err)
			require.Equal(t, "Why?", item.Title)
			require.Equal(t, test.answers, item.AnswerCount)
			require.Equal(t, test.answers > 0, item.Answered)
			require.Equal(t, test.first, item.FirstAnswerID)
			require.Len(t, answers, test.answers)
		})
	}
}

func TestLeaderboard(t *testing.T) {
	require.Equal(t, []string{event.TopicAnswerAdded, event.TopicAnswerRemoved}, topics(handlers.Leaderboard()))
	ann1, ann2 := sent{event.TopicAnswerAdded, answer("a1", "q1", "ann", day1)}, sent{event.TopicAnswerAdded, answer("a2", "q2", "ann", day2)}
	bob := sent{event.TopicAnswerAdded, answer("b1", "q1", "bob", day3)}
	gone := sent{event.TopicAnswerRemoved, removal("a1", "q1")}
	tests := map[string]struct {
		sent []sent
		want []leaderboard.Author
	}{
		"nobody":                 {nil, nil},
		"two authors":            {[]sent{bob, ann1, ann2}, []leaderboard.Author{{AuthorID: "ann", Answers: 2}, {AuthorID: "bob", Answers: 1}}},
		"the same message twice": {[]sent{ann1, ann1}, []leaderboard.Author{{AuthorID: "ann", Answers: 1}}},
		"a tie":                  {[]sent{bob, ann1}, []leaderboard.Author{{AuthorID: "ann", Answers: 1}, {AuthorID: "bob", Answers: 1}}},
		"removed":                {[]sent{ann1, bob, gone}, []leaderboard.Author{{AuthorID: "bob", Answers: 1}}},
		"removed before it came": {[]sent{gone, ann1}, nil},
		"without an author":      {[]sent{{event.TopicAnswerAdded, `{"answer_id":"a9","question_id":"q1","occurred_at":"` + day1 + `"}`}}, nil},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			e := env(t)
			for _, s := range test.sent {
				require.NoError(t, send(t, handlers.Leaderboard(), e, s.topic, s.payload))
			}
			top, err := e.Leaderboard.Top(t.Context(), 10)
			require.NoError(t, err)
			require.Equal(t, test.want, append([]leaderboard.Author(nil), top...))
		})
	}
}

func TestAll_EveryTopicOfEveryHandlerRefusesABrokenEventForEver(t *testing.T) {
	require.NoError(t, handlers.Validate(handlers.All()))
	e := env(t)
	for _, h := range handlers.All() {
		for _, topic := range topics(h) {
			for payload, reason := range map[string]failure.Reason{
				`{`: failure.Malformed, `[]`: failure.Malformed, "{\"a\":\"\xff\"}": failure.Malformed, ``: failure.Malformed,
				`{}`: failure.Invalid, `{"answer_id":7}`: failure.Invalid,
				strings.Repeat(" ", event.MaxPayload+1): failure.TooLarge,
			} {
				verdict := failure.Classify(send(t, h, e, topic, payload))
				require.Equal(t, failure.KindPermanent, verdict.Kind, "%s on %s", h.Name, topic)
				require.Equal(t, reason, verdict.Reason, "%s on %s", h.Name, topic)
			}
		}
	}
}

func TestOn(t *testing.T) {
	own, boom := failure.TransientAfter(errors.New("no key yet"), time.Minute), errors.New("boom")
	decode := func(payload []byte) (string, error) {
		switch string(payload) {
		case "own verdict":
			return "", own
		case "broken contract":
			return "", fmt.Errorf("decoding: %w", event.Validate(event.TopicAnswerAdded, []byte("{}")))
		case "unreadable":
			return "", boom
		}
		return string(payload), nil
	}
	var seen []string
	topic := handlers.On("question-viewed", decode, func(ctx context.Context, e string) error {
		require.Equal(t, t.Context(), ctx)
		seen = append(seen, e)
		return map[string]error{"fails": boom}[e]
	})
	require.Equal(t, "question-viewed", topic.Name)
	require.NoError(t, topic.Handle(t.Context(), []byte("well")))
	require.Equal(t, boom, topic.Handle(t.Context(), []byte("fails")), "the function's error is its own")
	require.Equal(t, own, topic.Handle(t.Context(), []byte("own verdict")))
	require.Equal(t, []string{"well", "fails"}, seen)

	for payload, reason := range map[string]failure.Reason{"broken contract": failure.Invalid, "unreadable": failure.Malformed} {
		verdict := failure.Classify(topic.Handle(t.Context(), []byte(payload)))
		require.Equal(t, failure.KindPermanent, verdict.Kind)
		require.Equal(t, reason, verdict.Reason)
	}
}

func TestValidate(t *testing.T) {
	handle := func(context.Context, []byte) error { return nil }
	handler := func(name string, topics ...handlers.Topic) handlers.Handler {
		return handlers.Handler{Name: name, Topics: func(handlers.Env) []handlers.Topic { return topics }}
	}
	good := handlers.Topic{Name: "t", Handle: handle}
	tests := map[string]struct {
		all  []handlers.Handler
		want string
	}{
		"none":               {nil, ""},
		"well":               {[]handlers.Handler{handler("a", good), handler("b", good)}, ""},
		"no name":            {[]handlers.Handler{handler("", good)}, `handler ""`},
		"a name in capitals": {[]handlers.Handler{handler("Feed", good)}, `handler "Feed"`},
		"a name with a dot":  {[]handlers.Handler{handler("a.b", good)}, `handler "a.b"`},
		"a name too long":    {[]handlers.Handler{handler(strings.Repeat("a", 61), good)}, "1 to 60"},
		"two of a name":      {[]handlers.Handler{handler("a", good), handler("a", good)}, "two of that name"},
		"no topic":           {[]handlers.Handler{handler("a")}, "takes no topic"},
		"no Topics":          {[]handlers.Handler{{Name: "a"}}, "takes no topic"},
		"a topic twice":      {[]handlers.Handler{handler("a", good, good)}, `topic "t"`},
		"a bad topic":        {[]handlers.Handler{handler("a", handlers.Topic{Name: "T", Handle: handle})}, `topic "T"`},
		"no function":        {[]handlers.Handler{handler("a", handlers.Topic{Name: "t"})}, "a function"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			err := handlers.Validate(test.all)
			if test.want == "" {
				require.NoError(t, err)
				return
			}
			require.ErrorContains(t, err, test.want)
		})
	}
}
