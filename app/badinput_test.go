package app_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/answerfeed/answerfeed/app/event"
	"github.com/answerfeed/answerfeed/handlers"
)

// marker is in every bad payload, and must be in no log line.
const marker = "pr1vate-words"

const moment = `"occurred_at":"2026-01-02T03:04:05Z"`

// badAnswers are payloads of answer-added and why each is refused.
var badAnswers = map[string]struct{ payload, reason, says string }{
	"malformed JSON":      {`{"answer_id":"` + marker, "malformed", "not JSON"},
	"no JSON at all":      {marker, "malformed", "not JSON"},
	"an array":            {`["` + marker + `"]`, "malformed", "not a JSON object"},
	"two objects":         {`{}{"x":"` + marker + `"}`, "malformed", "not JSON"},
	"invalid UTF-8":       {`{"answer_id":"` + marker + "\xff\xfe" + `"}`, "malformed", "not valid UTF-8"},
	"a NUL byte":          {"{\"answer_id\":\"" + marker + "\x00\"}", "malformed", "not JSON"},
	"nested deeply":       {strings.Repeat(`{"`+marker+`":`, 20000), "malformed", "nested deeper"},
	"a wrong type":        {`{"answer_id":{"x":"` + marker + `"},"question_id":"q1",` + moment + `}`, "invalid", "answer_id: not a string"},
	"a number for an id":  {`{"answer_id":7,"question_id":"` + marker + `",` + moment + `}`, "invalid", "answer_id: not a string"},
	"a missing field":     {`{"answer_id":"` + marker + `",` + moment + `}`, "invalid", "question_id: missing"},
	"nothing in it":       {`{"unknown":"` + marker + `"}`, "invalid", "answer_id: missing"},
	"an escaped NUL":      {`{"answer_id":"` + marker + `\u0000","question_id":"q1",` + moment + `}`, "invalid", "NUL"},
	"half a surrogate":    {`{"answer_id":"` + marker + `\ud800","question_id":"q1",` + moment + `}`, "invalid", "surrogate"},
	"an empty id":         {`{"answer_id":"","question_id":"` + marker + `",` + moment + `}`, "invalid", "answer_id: empty"},
	"an empty event id":   {`{"answer_id":"a","question_id":"` + marker + `","event_id":"",` + moment + `}`, "invalid", "event_id: empty"},
	"an id too long":      {`{"answer_id":"` + strings.Repeat(marker, 10) + `","question_id":"q1",` + moment + `}`, "invalid", "longer than 128"},
	"the year 9999":       {`{"answer_id":"` + marker + `","question_id":"q1","occurred_at":"9999-12-31T23:59:59Z"}`, "invalid", "24 hours ahead"},
	"the year 1970":       {`{"answer_id":"` + marker + `","question_id":"q1","occurred_at":"1970-01-01T00:00:00Z"}`, "invalid", "earlier"},
	"a time of no format": {`{"answer_id":"a","question_id":"q1","occurred_at":"` + marker + `"}`, "invalid", "RFC 3339"},
	"two MiB":             {`{"excerpt":"` + strings.Repeat(marker, 2<<20/len(marker)) + `"}`, "too-large", "1048576"},
	"nothing":             {"", "malformed", "not JSON"},
}

// Bad input becomes one letter for each handler, and what is good around it
// flows on.
func TestBadInput(t *testing.T) {
	r := newRig(t, handlers.All())
	a := r.run(t, handlers.All())
	good := 0
	publishGood := func() {
		good++
		r.publish(t, event.TopicQuestionAdded, fmt.Sprintf(`{"question_id":"q%d","title":"Why?","subject":"s","grade":"g",%s}`, good, moment))
		r.publish(t, event.TopicAnswerAdded, fmt.Sprintf(`{"answer_id":"a%d","question_id":"q%d","author_id":"ann",%s}`, good, good, moment))
	}
	type key struct{ handler, payload string }
	want := map[key]string{}
	says := map[string]string{}
	for _, bad := range badAnswers {
		publishGood()
		r.publish(t, event.TopicAnswerAdded, bad.payload)
		for _, h := range []string{"feed", "leaderboard"} {
			want[key{h, bad.payload}] = bad.reason
		}
		says[bad.payload] = bad.says
	}
	publishGood()

	letters := r.settled(t)
	got := map[key]string{}
	for _, l := range letters {
		got[key{l.Handler, string(l.Payload)}] = l.Reason
		require.Equal(t, event.TopicAnswerAdded, l.Topic)
		require.Equal(t, 1, l.Attempts)
		require.Zero(t, l.Redeliveries)
		require.Contains(t, l.Error, says[string(l.Payload)])
		require.NotContains(t, l.Error, marker)
		require.Equal(t, event.Identity(l.Payload, ""), l.Identity)
		require.Equal(t, l.Identity, l.CorrelationID)
	}
	require.Len(t, letters, len(want), "one for each handler, and no more")
	require.True(t, equal(want, got), "each for its own reason")

	var page struct {
		Items []struct {
			QuestionID  string `json:"question_id"`
			AnswerCount int    `json:"answer_count"`
		}
	}
	getJSON(t, a, "/api/feed?limit=100", &page)
	require.Len(t, page.Items, good)
	for _, item := range page.Items {
		require.Equal(t, 1, item.AnswerCount)
	}
	var board struct{ Authors []struct{ Answers int } }
	getJSON(t, a, "/api/leaderboard", &board)
	require.Equal(t, good, board.Authors[0].Answers)
	require.NotContains(t, r.log.String(), marker)
}

func equal[K comparable](a, b map[K]string) bool {
	if len(a) != len(b) {
		return false
	}
	for k, v := range a {
		if b[k] != v {
			return false
		}
	}
	return true
}

// Metadata is as foreign as payloads are.
func TestBadMetadata(t *testing.T) {
	r := newRig(t, handlers.All())
	r.run(t, handlers.All())
	payload := `{"answer_id":"a1","question_id":"q1",` + moment + `}`
	for i, metadata := range []string{`["` + marker + `"]`, `{"k":7}`, marker, `null`, `{"` + strings.Repeat("k", 129) + `":""}`,
		`{"k":"` + strings.Repeat(marker, 4000) + `"}`, `{"k":"\u0000` + marker + `"}`} {
		r.insert(t, "answer-added.leaderboard", fmt.Sprint("u", i), metadata, payload)
	}
	reasons := map[string]int{}
	for _, l := range r.settled(t) {
		require.Equal(t, "leaderboard", l.Handler)
		require.Equal(t, payload, string(l.Payload))
		reasons[l.Reason]++
	}
	require.Equal(t, map[string]int{"malformed": 4, "invalid": 2, "too-large": 1}, reasons)
	require.NotContains(t, r.log.String(), marker)
}
