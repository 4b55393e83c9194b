package producer_test

import (
	"bytes"
	"encoding/base64"
	"fmt"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/stretchr/testify/require"

	"github.com/answerfeed/answerfeed/app/event"
	"github.com/answerfeed/answerfeed/internal/producer"
	"github.com/answerfeed/answerfeed/internal/transport"
)

const data = `{"answer_id":"a1","question_id":"q1","occurred_at":"2026-01-02T03:04:05Z","event_id":"e1"}`

func line(rest string) string { return `{"topic":"answer-added",` + rest + `}` }

func encoded(s string) string { return base64.StdEncoding.EncodeToString([]byte(s)) }

func TestParseLine_Good(t *testing.T) {
	tests := map[string]struct {
		line           string
		raw            bool
		topic, payload string
		metadata       map[string]string
	}{
		"an event":               {line(`"data":` + data), false, "answer-added", data, nil},
		"white space":            {" { \"topic\" : \"answer-added\" , \"data\" : " + data + " } ", false, "answer-added", data, nil},
		"as bytes":               {line(`"data_base64":"` + encoded(data) + `"`), false, "answer-added", data, nil},
		"for one handler":        {line(`"handler":"feed","data":` + data), false, "answer-added.feed", data, nil},
		"metadata":               {line(`"metadata":{"correlation_id":"c1","k":""},"data":` + data), false, "answer-added", data, map[string]string{"correlation_id": "c1", "k": ""}},
		"empty metadata":         {line(`"metadata":{},"data":` + data), false, "answer-added", data, nil},
		"optional keys null":     {line(`"metadata":null,"handler":null,"data_base64":null,"data":` + data), false, "answer-added", data, nil},
		"the last of a key wins": {line(`"data":7,"data":` + data), false, "answer-added", data, nil},
		"another topic":          {`{"topic":"question-viewed","data":{"any":1}}`, false, "question-viewed", `{"any":1}`, nil},
		"raw object":             {line(`"data":{"any":1}`), true, "answer-added", `{"any":1}`, nil},
		"raw array":              {line(`"data":[1, 2]`), true, "answer-added", `[1, 2]`, nil},
		"raw number":             {line(`"data":1e400`), true, "answer-added", `1e400`, nil},
		"raw true":               {line(`"data":true`), true, "answer-added", `true`, nil},
		"raw null":               {line(`"data":null`), true, "answer-added", `null`, nil},
		"raw string":             {line(`"data":"{\u0000 not JSON \u00fc"`), true, "answer-added", "{\x00 not JSON ü", nil},
		"raw string, empty":      {line(`"data":""`), true, "answer-added", "", nil},
		"raw bytes":              {line(`"data_base64":"` + encoded("\xff\x00") + `"`), true, "answer-added", "\xff\x00", nil},
		"raw bytes, none":        {line(`"data_base64":""`), true, "answer-added", "", nil},
		"raw, nested deeply":     {line(`"data":"` + strings.Repeat("[", 20000) + `"`), true, "answer-added", strings.Repeat("[", 20000), nil},
		"raw, two MiB":           {line(`"data":"` + strings.Repeat("x", 2<<20) + `"`), true, "answer-added", strings.Repeat("x", 2<<20), nil},
		"raw, metadata large":    {line(`"metadata":{"k":"` + strings.Repeat("v", event.MaxMetadata) + `"},"data":{}`), true, "answer-added", "{}", map[string]string{"k": strings.Repeat("v", event.MaxMetadata)}},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			item, err := producer.ParseLine([]byte(test.line), test.raw)
			require.NoError(t, err)
			require.Equal(t, test.topic, item.Topic)
			require.Equal(t, test.payload, string(item.Message.Payload))
			require.Equal(t, event.Identity([]byte(test.payload), ""), item.Message.UUID)
			want := map[string]string{transport.KeyCorrelationID: item.Message.UUID}
			for k, v := range test.metadata {
				want[k] = v
			}
			require.Equal(t, want, map[string]string(item.Message.Metadata))
		})
	}
}

// marker stands for what no error may hold.
const marker = "s3cr3t-text"

func TestParseLine_Bad(t *testing.T) {
	at := func(field, value string) string {
		return line(`"data":` + strings.Replace(data, `"`+field+`":"`, `"`+field+`":`+value+`,"x":"`, 1))
	}
	tests := map[string]struct {
		line string
		raw  bool
		want string
	}{
		"no JSON":               {`{"topic":` + marker, false, "malformed JSON at byte 10"},
		"cut short":             {line(`"data":{"title":"` + marker), false, "ends too early"},
		"nothing":               {``, false, "ends too early"},
		"two values":            {line(`"data":`+data) + `{"` + marker + `":1}`, false, "more than one JSON value"},
		"a bracket too many":    {line(`"data":`+data) + `]`, false, "more than one JSON value"},
		"invalid UTF-8":         {line(`"data":{"title":"` + marker + "\xff\"}"), false, "not valid UTF-8"},
		"no object":             {`["` + marker + `"]`, false, "a JSON array"},
		"a string":              {`"` + marker + `"`, false, "a JSON string"},
		"null":                  {`null`, false, "topic"},
		"an unknown key":        {line(`"dta":"` + marker + `"`), false, `unknown key "dta"`},
		"a key in capitals":     {line(`"Data":{}`), false, `unknown key "Data"`},
		"a long unknown key":    {`{"` + strings.Repeat("key", 1000) + `":{}}`, false, `unknown key "keykey`},
		"no topic":              {`{"data":` + data + `}`, false, "topic: "},
		"a topic in capitals":   {`{"topic":"` + "Answers" + `","data":{}}`, false, "topic: "},
		"a queue as topic":      {`{"topic":"answer-added.feed","data":{}}`, false, "topic: "},
		"a topic of wrong type": {`{"topic":7,"data":{}}`, false, "topic: "},
		"a handler with a dot":  {line(`"handler":"a.b","data":{}`), false, "handler: "},
		"handler of wrong type": {line(`"handler":{},"data":{}`), false, "handler: "},
		"no data":               {line(`"metadata":{}`), false, "data is missing"},
		"both forms":            {line(`"data":{},"data_base64":"e30="`), false, "both"},
		"both forms, one empty": {line(`"data":{},"data_base64":""`), true, "both"},
		"bad base64":            {line(`"data_base64":"` + marker + `"`), false, "base64"},
		"base64 of wrong type":  {line(`"data_base64":{"` + marker + `":1}`), false, "data_base64: "},
		"metadata of numbers":   {line(`"metadata":{"` + marker + `":7},"data":{}`), false, "metadata"},
		"metadata, a list":      {line(`"metadata":["` + marker + `"],"data":{}`), false, "metadata: "},
		"metadata, too large":   {line(`"metadata":{"k":"` + strings.Repeat(marker, 4000) + `"},"data":` + data), false, "metadata: larger"},
		"metadata, empty key":   {line(`"metadata":{"":"` + marker + `"},"data":` + data), false, "metadata: a key"},
		"metadata, NUL":         {line(`"metadata":{"k":"\u0000` + marker + `"},"data":` + data), false, "NUL"},
		"data, no object":       {line(`"data":"` + marker + `"`), false, "not a JSON object"},
		"data, bytes, no JSON":  {line(`"data_base64":"` + encoded(marker) + `"`), false, "not JSON"},
		"data, bytes, no UTF-8": {line(`"data_base64":"` + encoded(marker+"\xff") + `"`), false, "not valid UTF-8"},
		"data, wrong type":      {at("answer_id", `{"x":"`+marker+`"}`), false, "answer_id: not a string"},
		"data, a number":        {at("answer_id", `7`), false, "answer_id: not a string"},
		"data, missing field":   {line(`"data":{"question_id":"` + marker + `"}`), false, "answer_id: missing"},
		"data, null field":      {at("question_id", `null`), false, "question_id: missing"},
		"data, empty id":        {at("answer_id", `""`), false, "answer_id: empty"},
		"data, empty event id":  {at("event_id", `""`), false, "event_id: empty"},
		"data, long id":         {at("answer_id", `"`+strings.Repeat(marker, 20)+`"`), false, "answer_id: longer than 128 bytes"},
		"data, NUL":             {at("answer_id", `"\u0000`+marker+`"`), false, "NUL"},
		"data, lone surrogate":  {at("answer_id", `"\ud800`+marker+`"`), false, "surrogate"},
		"data, year 9999":       {at("occurred_at", `"9999-01-01T00:00:00Z"`), false, "occurred_at: more than 24 hours ahead"},
		"data, year 1999":       {at("occurred_at", `"1999-12-31T23:59:59Z"`), false, "occurred_at: earlier"},
		"data, no time":         {at("occurred_at", `"`+marker+`"`), false, "occurred_at: not an RFC 3339 time"},
		"data, nested deeply":   {line(`"data":{"x":` + strings.Repeat("[", 20000) + strings.Repeat("]", 20000) + `}`), false, "malformed JSON"},
		"data, two MiB":         {line(`"data":{"excerpt":"` + strings.Repeat(marker, 200000) + `"}`), false, "too-large"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			_, err := producer.ParseLine([]byte(test.line), test.raw)
			require.ErrorContains(t, err, test.want)
			require.NotContains(t, err.Error(), marker)
			require.Less(t, len(err.Error()), 250)
			require.NotContains(t, err.Error(), "\n", "one line")
			require.NotContains(t, err.Error(), ": :", "nothing is left out of the sentence")
			require.NotContains(t, err.Error(), "json:", "nothing of the library's own")
		})
	}
}

func TestParseLine_OccurredAtIsJudgedByNow(t *testing.T) {
	at := func(d time.Duration) []byte {
		return []byte(line(fmt.Sprintf(`"data":{"answer_id":"a","question_id":"q","occurred_at":%q}`, time.Now().Add(d).Format(time.RFC3339))))
	}
	_, err := producer.ParseLine(at(23*time.Hour), false)
	require.NoError(t, err)
	_, err = producer.ParseLine(at(25*time.Hour), false)
	require.Error(t, err)
}

func FuzzParseLine(f *testing.F) {
	for _, seed := range []string{
		line(`"data":` + data), line(`"data_base64":"e30="`), line(`"handler":"feed","data":{}`), line(`"metadata":{"k":"v"},"data":{}`),
		line(`"data":"text"`), line(`"data":null`), line(`"data":[1]`), line(`"data":{},"data":{}`), `null`, `{}`, `[]`, `7`, `"`, `{"topic":"t","data":"\ud800"}`,
		"{\"topic\":\"t\",\"data\":\"\xff\"}", "{\"topic\":\"t\",\"data\":\"\x00\"}", line(`"data":` + strings.Repeat("[", 100)), line(`"data_base64":"=="`),
	} {
		f.Add([]byte(seed), false)
		f.Add([]byte(seed), true)
	}
	f.Fuzz(func(t *testing.T, text []byte, raw bool) {
		item, err := producer.ParseLine(text, raw)
		if err == nil {
			require.NotEmpty(t, item.Message.UUID)
			require.NotEmpty(t, item.Message.Metadata.Get(transport.KeyCorrelationID))
			topic, handler, direct := strings.Cut(item.Topic, ".")
			require.True(t, event.ValidName(topic))
			require.True(t, !direct || event.ValidName(handler))
			if !raw {
				require.NoError(t, event.Validate(topic, item.Message.Payload))
				require.LessOrEqual(t, len(item.Message.Payload), event.MaxPayload)
			}
		} else {
			require.True(t, utf8.ValidString(err.Error()))
			require.Less(t, len(err.Error()), 500)
		}
		// Whatever the payload is, an error does not hold it.
		secret := append([]byte(marker), text...)
		for _, topic := range []string{"answer-added", "question-added", "other"} {
			_, err := producer.ParseLine([]byte(`{"topic":"`+topic+`","data_base64":"`+base64.StdEncoding.EncodeToString(secret)+`"}`), false)
			require.Error(t, err)
			require.NotContains(t, err.Error(), marker)
		}
		if bytes.IndexByte(text, '"') < 0 {
			if _, err := producer.ParseLine([]byte(line(`"data":{"answer_id":"`+string(secret)+`"}`)), raw); err != nil {
				require.NotContains(t, err.Error(), marker)
			}
		}
	})
}
