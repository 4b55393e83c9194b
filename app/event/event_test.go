package event

import (
	"bytes"
	"encoding/json"
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

var update = flag.Bool("update", false, "rewrite the golden files")

// noon is the clock of the tests.
var noon = time.Date(2026, time.March, 1, 12, 0, 0, 0, time.UTC)

// encoder is what the three events have in common.
type encoder interface{ Encode() ([]byte, error) }

// decodeAny decodes by topic at noon, without the digest, so that the result compares with what was encoded.
func decodeAny(topic string, payload []byte) (encoder, error) {
	switch topic {
	case TopicQuestionAdded:
		e, err := decodeQuestionAdded(payload, noon)
		e.Digest = Digest{}
		return e, err
	case TopicAnswerAdded:
		e, err := decodeAnswerAdded(payload, noon)
		e.Digest = Digest{}
		return e, err
	default:
		e, err := decodeAnswerRemoved(payload, noon)
		e.Digest = Digest{}
		return e, err
	}
}

// goldens are events whose canonical payloads rest in testdata: what producers in other languages may copy.
var goldens = map[string]struct {
	topic string
	event encoder
}{
	"question-added.json": {TopicQuestionAdded, QuestionAdded{
		QuestionID: "q1", Title: "Why is 0.999… equal to 1?", Excerpt: "Our teacher says \"they are the same\" —\nI don't see <why> & how.",
		Subject: "mathematics", Grade: "high school", AuthorID: "u42", EventID: "se-question-1",
		OccurredAt: time.Date(2026, time.February, 28, 23, 59, 59, 123456000, time.UTC),
	}},
	"question-added-minimal.json": {TopicQuestionAdded, QuestionAdded{
		QuestionID: "q2", Title: "What is osmosis?", Subject: "?", Grade: "unspecified",
		OccurredAt: time.Date(2000, time.January, 1, 0, 0, 0, 0, time.UTC),
	}},
	"answer-added.json": {TopicAnswerAdded, AnswerAdded{
		AnswerID: "a7", QuestionID: "q1", AuthorID: "u7", Excerpt: "Three thirds make one: 3 × 0.333… = 0.999…\t😀", EventID: "se-answer-7",
		OccurredAt: time.Date(2026, time.March, 1, 0, 0, 0, 1000, time.UTC),
	}},
	"answer-added-minimal.json": {TopicAnswerAdded, AnswerAdded{
		AnswerID: "a8", QuestionID: "q1", OccurredAt: time.Date(2026, time.March, 1, 0, 0, 1, 0, time.UTC),
	}},
	"question-added-copied.json": {TopicQuestionAdded, QuestionAdded{
		QuestionID: "math.stackexchange.com/q1", Title: "Why is 0.999… equal to 1?", Subject: "mathematics", Grade: "high school",
		OccurredAt: time.Date(2026, time.February, 27, 0, 0, 0, 0, time.UTC), EditedAt: time.Date(2026, time.February, 28, 0, 0, 0, 0, time.UTC),
		CopiedAt: time.Date(2026, time.March, 1, 0, 0, 0, 1000, time.UTC),
	}},
	"answer-removed.json": {TopicAnswerRemoved, AnswerRemoved{
		AnswerID: "a7", QuestionID: "q1", Reason: "taken back by its author", EventID: "removal-7",
		OccurredAt: time.Date(2026, time.March, 2, 12, 0, 0, 0, time.UTC), // as far ahead of noon as is allowed
	}},
	"answer-removed-minimal.json": {TopicAnswerRemoved, AnswerRemoved{
		AnswerID: "a8", QuestionID: "q1", OccurredAt: time.Date(2026, time.March, 1, 0, 0, 2, 0, time.UTC),
	}},
}

func encodeAtNoon(t testing.TB, e encoder) []byte {
	t.Helper()
	var payload []byte
	var err error
	switch e := e.(type) {
	case QuestionAdded:
		payload, err = encode(noon, e.fields())
	case AnswerAdded:
		payload, err = encode(noon, e.fields())
	case AnswerRemoved:
		payload, err = encode(noon, e.fields())
	}
	require.NoError(t, err)
	return payload
}

func TestGolden(t *testing.T) {
	for name, golden := range goldens {
		t.Run(name, func(t *testing.T) {
			path := filepath.Join("testdata", name)
			encoded := append(encodeAtNoon(t, golden.event), '\n')
			if *update {
				require.NoError(t, os.WriteFile(path, encoded, 0o644))
			}
			want, err := os.ReadFile(path)
			require.NoError(t, err)
			require.Equal(t, string(want), string(encoded))

			decoded, err := decodeAny(golden.topic, want)
			require.NoError(t, err)
			require.Equal(t, golden.event, decoded)
		})
	}
}

func TestDecodingIsLenientWhereTheContractIs(t *testing.T) {
	want := AnswerAdded{AnswerID: "a1", QuestionID: "q1", OccurredAt: time.Date(2026, time.March, 1, 10, 0, 0, 0, time.UTC)}
	for name, payload := range map[string]string{
		"white space everywhere":         " \r\n\t{ \"answer_id\" : \"a1\" ,\n\"question_id\":\t\"q1\" , \"occurred_at\" : \"2026-03-01T10:00:00Z\" } \n",
		"another order":                  `{"occurred_at":"2026-03-01T10:00:00Z","question_id":"q1","answer_id":"a1"}`,
		"null is absent":                 `{"answer_id":"a1","question_id":"q1","author_id":null,"excerpt":null,"event_id":null,"occurred_at":"2026-03-01T10:00:00Z"}`,
		"empty excerpt":                  `{"answer_id":"a1","question_id":"q1","excerpt":"","occurred_at":"2026-03-01T10:00:00Z"}`,
		"last of a repeated key wins":    `{"answer_id":5,"answer_id":"x","answer_id":"a1","question_id":"q1","occurred_at":"2026-03-01T10:00:00Z"}`,
		"null may be the last":           `{"author_id":"u1","author_id":null,"answer_id":"a1","question_id":"q1","occurred_at":"2026-03-01T10:00:00Z"}`,
		"keys match in exact case":       `{"Answer_ID":"x","ANSWER_ID":5,"answer_id":"a1","question_id":"q1","occurred_at":"2026-03-01T10:00:00Z"}`,
		"escapes in keys and values":     `{"\u0061nswer_id":"\u0061\u0031","question_id":"q1","occurred_at":"2026-03-01T10:00:00Z"}`,
		"unknown members":                `{"a":1,"b":[1,{"answer_id":"x"},"]"],"c":{"d":"}\\\""},"":true,"n":-1.5e+3,"answer_id":"a1","question_id":"q1","occurred_at":"2026-03-01T10:00:00Z"}`,
		"anything in an unknown member":  `{"a":"\u0000","b":"\ud800","c\ud800":1,"answer_id":"a1","question_id":"q1","occurred_at":"2026-03-01T10:00:00Z"}`,
		"another zone":                   `{"answer_id":"a1","question_id":"q1","occurred_at":"2026-03-01T15:45:00+05:45"}`,
		"deep, but not too deep":         `{"a":` + strings.Repeat("[", 9000) + strings.Repeat("]", 9000) + `,"answer_id":"a1","question_id":"q1","occurred_at":"2026-03-01T10:00:00Z"}`,
		"as large as a payload may be":   padded(MaxPayload),
		"backslashes before a quotation": `{"x":"\\","y":"\\\"","answer_id":"a1","question_id":"q1","occurred_at":"2026-03-01T10:00:00Z"}`,
	} {
		t.Run(name, func(t *testing.T) {
			got, err := decodeAny(TopicAnswerAdded, []byte(payload))
			require.NoError(t, err)
			require.Equal(t, want, got)
		})
	}
}

// padded is a valid answer-added payload of size bytes.
func padded(size int) string {
	const head, tail = `{"answer_id":"a1","question_id":"q1","occurred_at":"2026-03-01T10:00:00Z","x":"`, `"}`
	return head + strings.Repeat("x", size-len(head)-len(tail)) + tail
}

func TestLimitsAreInclusive(t *testing.T) {
	want := QuestionAdded{
		QuestionID: strings.Repeat("é", 64), Title: strings.Repeat("😀", 300), Excerpt: strings.Repeat("é", 1000), Subject: strings.Repeat("é", 64),
		Grade: strings.Repeat("😀", 64), AuthorID: strings.Repeat("x", 128), EventID: strings.Repeat("x", 128), OccurredAt: noon.Add(24 * time.Hour),
	}
	got, err := decodeAny(TopicQuestionAdded, encodeAtNoon(t, want))
	require.NoError(t, err)
	require.Equal(t, want, got)
}

func TestDigestIsOfTheBytesAsTheyCame(t *testing.T) {
	compact := encodeAtNoon(t, goldens["answer-added.json"].event)
	var spaced bytes.Buffer
	require.NoError(t, json.Indent(&spaced, compact, "", "  "))
	a, err := DecodeAnswerAdded(compact)
	require.NoError(t, err)
	b, err := DecodeAnswerAdded(spaced.Bytes())
	require.NoError(t, err)
	require.NotEqual(t, a.Digest, b.Digest)
	a.Digest, b.Digest = Digest{}, Digest{}
	require.Equal(t, a, b)
}
