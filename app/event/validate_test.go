package event

import (
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func TestValidateGoesByTopic(t *testing.T) {
	answer := `{"answer_id":"a1","question_id":"q1","occurred_at":"2026-03-01T10:00:00Z"}`
	for name, c := range map[string]struct{ topic, payload, want string }{
		"question":                    {TopicQuestionAdded, with("", ""), ""},
		"answer":                      {TopicAnswerAdded, answer, ""},
		"removal":                     {TopicAnswerRemoved, answer, ""},
		"answer is no question":       {TopicQuestionAdded, answer, "invalid event: title: missing"},
		"wrong answer":                {TopicAnswerAdded, `{}`, "invalid event: answer_id: missing"},
		"wrong removal":               {TopicAnswerRemoved, `{}`, "invalid event: answer_id: missing"},
		"any object of unknown topic": {"question-viewed", `{"views":{"n":1}}`, ""},
		"no object of unknown topic":  {"question-viewed", `[]`, "malformed event: not a JSON object"},
		"no JSON of unknown topic":    {"question-viewed", `{`, "malformed event: not JSON, or nested deeper than 10000 levels, at byte 1"},
		"too large of unknown topic":  {"question-viewed", padded(MaxPayload + 1), "too-large event: larger than 1048576 bytes"},
	} {
		t.Run(name, func(t *testing.T) {
			err := Validate(c.topic, []byte(c.payload))
			if c.want == "" {
				require.NoError(t, err)
			} else {
				require.EqualError(t, err, c.want)
			}
		})
	}
}

func TestEncodeRefusesWhatDecodingWould(t *testing.T) {
	valid := func() QuestionAdded {
		return QuestionAdded{QuestionID: "q1", Title: "t", Subject: "s", Grade: "g", OccurredAt: noon}
	}
	for name, c := range map[string]struct {
		change func(*QuestionAdded)
		want   string
	}{
		"empty id":         {func(e *QuestionAdded) { e.QuestionID = "" }, "invalid event: question_id: empty"},
		"long id":          {func(e *QuestionAdded) { e.EventID = strings.Repeat("x", 129) }, "invalid event: event_id: longer than 128 bytes"},
		"long title":       {func(e *QuestionAdded) { e.Title = strings.Repeat("x", 301) }, "invalid event: title: longer than 300 characters"},
		"long excerpt":     {func(e *QuestionAdded) { e.Excerpt = strings.Repeat("x", 1001) }, "invalid event: excerpt: longer than 1000 characters"},
		"empty subject":    {func(e *QuestionAdded) { e.Subject = "" }, "invalid event: subject: empty"},
		"empty grade":      {func(e *QuestionAdded) { e.Grade = "" }, "invalid event: grade: empty"},
		"invalid UTF-8":    {func(e *QuestionAdded) { e.Title = "\xff" }, "invalid event: title: not valid UTF-8"},
		"NUL":              {func(e *QuestionAdded) { e.AuthorID = "\x00" }, "invalid event: author_id: holds a NUL character"},
		"no time":          {func(e *QuestionAdded) { e.OccurredAt = time.Time{} }, "invalid event: occurred_at: earlier than 2000-01-01"},
		"time far ahead":   {func(e *QuestionAdded) { e.OccurredAt = time.Date(9999, 1, 1, 0, 0, 0, 0, time.UTC) }, "invalid event: occurred_at: more than 24 hours ahead"},
		"year of 5 digits": {func(e *QuestionAdded) { e.OccurredAt = time.Date(12345, 1, 1, 0, 0, 0, 0, time.UTC) }, "invalid event: occurred_at: more than 24 hours ahead"},
	} {
		t.Run(name, func(t *testing.T) {
			e := valid()
			c.change(&e)
			_, err := e.Encode()
			require.EqualError(t, err, c.want)
		})
	}

	_, err := AnswerRemoved{AnswerID: "a1", QuestionID: "q1", Reason: strings.Repeat("x", MaxPayload), OccurredAt: noon}.Encode()
	require.EqualError(t, err, "too-large event: larger than 1048576 bytes")
	_, err = AnswerAdded{AnswerID: "a1", OccurredAt: noon}.Encode()
	require.EqualError(t, err, "invalid event: question_id: empty")
}

func TestTheClockIsTheCallers(t *testing.T) {
	tomorrow := QuestionAdded{QuestionID: "q1", Title: "t", Subject: "s", Grade: "g", OccurredAt: time.Now().Add(23 * time.Hour)}
	payload, err := tomorrow.Encode()
	require.NoError(t, err)
	_, err = DecodeQuestionAdded(payload)
	require.NoError(t, err)
	_, err = decodeQuestionAdded(payload, time.Now().Add(-2*time.Hour))
	require.EqualError(t, err, "invalid event: occurred_at: more than 24 hours ahead")
}

func TestEncodeCutsTimeAndTurnsItToUTC(t *testing.T) {
	zone := time.FixedZone("", 2*60*60)
	payload, err := AnswerAdded{AnswerID: "a1", QuestionID: "q1", OccurredAt: time.Date(2026, 3, 1, 1, 2, 3, 999_999_999, zone)}.Encode()
	require.NoError(t, err)
	require.JSONEq(t, `{"answer_id":"a1","question_id":"q1","occurred_at":"2026-02-28T23:02:03.999999Z"}`, string(payload))
}
