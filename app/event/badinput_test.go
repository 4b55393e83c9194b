package event

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

const secret = "s3cr3t"

// badPayload is one way in which a payload breaks the contract.
type badPayload struct{ topic, payload, want string }

// with returns a question-added payload, valid but for the member named key, whose JSON value is value; "" leaves it out.
func with(key, value string) string {
	members := []string{
		`question_id`, `"q1"`, `title`, `"s3cr3t"`, `excerpt`, `"s3cr3t"`, `subject`, `"biology"`, `grade`, `"college"`,
		`author_id`, `"s3cr3t"`, `occurred_at`, `"2026-03-01T10:00:00Z"`, `event_id`, `"e1"`,
	}
	var parts []string
	for i := 0; i < len(members); i += 2 {
		if members[i] == key {
			members[i+1] = value
		}
		if members[i+1] != "" {
			parts = append(parts, `"`+members[i]+`":`+members[i+1])
		}
	}
	return "{" + strings.Join(parts, ",") + "}"
}

// badPayloads are the seeds of the fuzz targets as well.
var badPayloads = map[string]badPayload{
	"empty payload":              {TopicQuestionAdded, "", "malformed event: not JSON, or nested deeper than 10000 levels, at byte 0"},
	"white space alone":          {TopicQuestionAdded, " \n", "malformed event: not JSON, or nested deeper than 10000 levels, at byte 2"},
	"malformed JSON":             {TopicQuestionAdded, `{"title":"s3cr3t",}`, "malformed event: not JSON, or nested deeper than 10000 levels, at byte 19"},
	"truncated JSON":             {TopicQuestionAdded, `{"title":"s3cr3t`, "malformed event: not JSON, or nested deeper than 10000 levels, at byte 16"},
	"two objects":                {TopicQuestionAdded, with("", "") + "{}", "malformed event: not JSON, or nested deeper than 10000 levels, at byte 169"},
	"two byte order marks":       {TopicQuestionAdded, "\ufeff\ufeff" + with("", ""), "malformed event: not JSON, or nested deeper than 10000 levels, at byte 1"},
	"UTF-16 with a mark":         {TopicQuestionAdded, "\xff\xfe{\x00\"\x00", "malformed event: the payload is UTF-16; send UTF-8"},
	"UTF-16, large end first":    {TopicQuestionAdded, "\xfe\xff\x00{\x00\"", "malformed event: the payload is UTF-16; send UTF-8"},
	"UTF-16 without a mark":      {TopicQuestionAdded, "{\x00\"\x00", "malformed event: the payload is UTF-16; send UTF-8"},
	"UTF-16, space before":       {TopicAnswerAdded, "\x00 \x00{", "malformed event: the payload is UTF-16; send UTF-8"},
	"UTF-32":                     {TopicAnswerRemoved, "\xff\xfe\x00\x00{\x00\x00\x00", "malformed event: the payload is UTF-32; send UTF-8"},
	"UTF-32 without a mark":      {TopicAnswerRemoved, "\x00\x00\x00{", "malformed event: the payload is UTF-32; send UTF-8"},
	"100,000 levels":             {TopicQuestionAdded, `{"a":` + strings.Repeat("[", 100_000) + strings.Repeat("]", 100_000) + `}`, "malformed event: not JSON, or nested deeper than 10000 levels, at byte 10005"},
	"100,000 levels of objects":  {TopicQuestionAdded, strings.Repeat(`{"a":`, 100_000) + "1" + strings.Repeat("}", 100_000), "malformed event: not JSON, or nested deeper than 10000 levels, at byte 50001"},
	"an array":                   {TopicQuestionAdded, `[{}]`, "malformed event: not a JSON object"},
	"a string":                   {TopicAnswerAdded, `"s3cr3t"`, "malformed event: not a JSON object"},
	"null":                       {TopicAnswerRemoved, `null`, "malformed event: not a JSON object"},
	"invalid UTF-8":              {TopicQuestionAdded, with("title", "\"s3cr3t\xff\""), "malformed event: not valid UTF-8"},
	"invalid UTF-8 elsewhere":    {TopicQuestionAdded, "{\"\xc3\x28\":1,", "malformed event: not valid UTF-8"},
	"encoded surrogate":          {TopicQuestionAdded, with("title", "\"\xed\xa0\x80\""), "malformed event: not valid UTF-8"},
	"raw NUL":                    {TopicQuestionAdded, with("title", "\"s3cr3t\x00\""), "malformed event: not JSON, or nested deeper than 10000 levels, at byte 36"},
	"2 MiB":                      {TopicQuestionAdded, padded(2 << 20), "too-large event: larger than 1048576 bytes"},
	"a byte too many":            {TopicAnswerAdded, padded(MaxPayload + 1), "too-large event: larger than 1048576 bytes"},
	"empty object":               {TopicAnswerRemoved, `{}`, "invalid event: answer_id: missing"},
	"missing id":                 {TopicQuestionAdded, with("question_id", ""), "invalid event: question_id: missing"},
	"null id":                    {TopicQuestionAdded, with("question_id", "null"), "invalid event: question_id: missing"},
	"empty id":                   {TopicQuestionAdded, with("question_id", `""`), "invalid event: question_id: empty"},
	"numeric id":                 {TopicQuestionAdded, with("question_id", "1234567"), "invalid event: question_id: not a string"},
	"id too long":                {TopicQuestionAdded, with("question_id", `"`+strings.Repeat("é", 64)+`x"`), "invalid event: question_id: longer than 128 bytes"},
	"NUL in id":                  {TopicQuestionAdded, with("question_id", `"s3cr3t\u0000"`), "invalid event: question_id: holds a NUL character"},
	"id in another case":         {TopicQuestionAdded, strings.ReplaceAll(with("", ""), "question_id", "Question_ID"), "invalid event: question_id: missing"},
	"missing title":              {TopicQuestionAdded, with("title", ""), "invalid event: title: missing"},
	"title too long":             {TopicQuestionAdded, with("title", `"`+strings.Repeat("é", 301)+`"`), "invalid event: title: longer than 300 characters"},
	"title an object":            {TopicQuestionAdded, with("title", `{"title":"s3cr3t"}`), "invalid event: title: not a string"},
	"title a boolean":            {TopicQuestionAdded, with("title", `true`), "invalid event: title: not a string"},
	"NUL in title":               {TopicQuestionAdded, with("title", `"\u0000"`), "invalid event: title: holds a NUL character"},
	"high surrogate alone":       {TopicQuestionAdded, with("title", `"\ud83d"`), "invalid event: title: holds half of a surrogate pair"},
	"low surrogate alone":        {TopicQuestionAdded, with("title", `"\uDE00 "`), "invalid event: title: holds half of a surrogate pair"},
	"surrogates the wrong way":   {TopicQuestionAdded, with("title", `"\ude00\ud83d"`), "invalid event: title: holds half of a surrogate pair"},
	"surrogate, other escape":    {TopicQuestionAdded, with("title", `"\ud83d\\ude00"`), "invalid event: title: holds half of a surrogate pair"},
	"excerpt too long":           {TopicQuestionAdded, with("excerpt", `"`+strings.Repeat("é", 1001)+`"`), "invalid event: excerpt: longer than 1000 characters"},
	"excerpt a list":             {TopicQuestionAdded, with("excerpt", `["s3cr3t"]`), "invalid event: excerpt: not a string"},
	"missing subject":            {TopicQuestionAdded, with("subject", ""), "invalid event: subject: missing"},
	"empty subject":              {TopicQuestionAdded, with("subject", `""`), "invalid event: subject: empty"},
	"subject too long":           {TopicQuestionAdded, with("subject", `"`+strings.Repeat("é", 65)+`"`), "invalid event: subject: longer than 64 characters"},
	"missing grade":              {TopicQuestionAdded, with("grade", ""), "invalid event: grade: missing"},
	"empty grade":                {TopicQuestionAdded, with("grade", `""`), "invalid event: grade: empty"},
	"grade too long":             {TopicQuestionAdded, with("grade", `"`+strings.Repeat("é", 65)+`"`), "invalid event: grade: longer than 64 characters"},
	"empty author":               {TopicQuestionAdded, with("author_id", `""`), "invalid event: author_id: empty"},
	"author too long":            {TopicQuestionAdded, with("author_id", `"`+strings.Repeat("x", 129)+`"`), "invalid event: author_id: longer than 128 bytes"},
	"missing time":               {TopicQuestionAdded, with("occurred_at", ""), "invalid event: occurred_at: missing"},
	"time a number":              {TopicQuestionAdded, with("occurred_at", "1772359200"), "invalid event: occurred_at: not a string"},
	"empty time":                 {TopicQuestionAdded, with("occurred_at", `""`), "invalid event: occurred_at: not an RFC 3339 time with zone"},
	"time without zone":          {TopicQuestionAdded, with("occurred_at", `"2026-03-01T10:00:00"`), "invalid event: occurred_at: not an RFC 3339 time with zone"},
	"date alone":                 {TopicQuestionAdded, with("occurred_at", `"2026-03-01"`), "invalid event: occurred_at: not an RFC 3339 time with zone"},
	"NUL in time":                {TopicQuestionAdded, with("occurred_at", `"2026-03-01T10:00:00Z\u0000"`), "invalid event: occurred_at: holds a NUL character"},
	"year 1999":                  {TopicQuestionAdded, with("occurred_at", `"1999-12-31T23:59:59.999999Z"`), "invalid event: occurred_at: earlier than 2000-01-01"},
	"year 1999 in UTC":           {TopicQuestionAdded, with("occurred_at", `"2000-01-01T00:00:00+00:01"`), "invalid event: occurred_at: earlier than 2000-01-01"},
	"year 9999":                  {TopicQuestionAdded, with("occurred_at", `"9999-12-31T23:59:59Z"`), "invalid event: occurred_at: more than 24 hours ahead"},
	"a microsecond too far":      {TopicQuestionAdded, with("occurred_at", `"2026-03-02T12:00:00.000001Z"`), "invalid event: occurred_at: more than 24 hours ahead"},
	"empty event id":             {TopicQuestionAdded, with("event_id", `""`), "invalid event: event_id: empty"},
	"event id too long":          {TopicQuestionAdded, with("event_id", `"`+strings.Repeat("x", 129)+`"`), "invalid event: event_id: longer than 128 bytes"},
	"event id a number":          {TopicQuestionAdded, with("event_id", `17`), "invalid event: event_id: not a string"},
	"last of a repeated key":     {TopicAnswerAdded, `{"answer_id":"a1","question_id":"q1","occurred_at":"2026-03-01T10:00:00Z","answer_id":""}`, "invalid event: answer_id: empty"},
	"answer without a question":  {TopicAnswerAdded, `{"answer_id":"a1","occurred_at":"2026-03-01T10:00:00Z"}`, "invalid event: question_id: missing"},
	"answer without an id":       {TopicAnswerAdded, `{"question_id":"q1","occurred_at":"2026-03-01T10:00:00Z"}`, "invalid event: answer_id: missing"},
	"removal without a question": {TopicAnswerRemoved, `{"answer_id":"a1","occurred_at":"2026-03-01T10:00:00Z"}`, "invalid event: question_id: missing"},
	"removal without a time":     {TopicAnswerRemoved, `{"answer_id":"a1","question_id":"q1"}`, "invalid event: occurred_at: missing"},
	"NUL in reason":              {TopicAnswerRemoved, `{"answer_id":"a1","question_id":"q1","reason":"\u0000","occurred_at":"2026-03-01T10:00:00Z"}`, "invalid event: reason: holds a NUL character"},
}

func TestBadInputIsRefusedWithAReasonThatHoldsNothingOfIt(t *testing.T) {
	for name, bad := range badPayloads {
		t.Run(name, func(t *testing.T) {
			got, err := decodeAny(bad.topic, []byte(bad.payload))
			require.EqualError(t, err, bad.want)
			require.NotContains(t, err.Error(), secret)
			var typed *Error
			require.ErrorAs(t, err, &typed)
			require.Contains(t, []string{ReasonMalformed, ReasonInvalid, ReasonTooLarge}, typed.Reason)
			require.Contains(t, []encoder{QuestionAdded{}, AnswerAdded{}, AnswerRemoved{}}, got, "a refused event is the zero one")
		})
	}
	_, err := decodeAny(TopicQuestionAdded, []byte(with("", "")))
	require.NoError(t, err, "what all the cases start from is valid")
}
