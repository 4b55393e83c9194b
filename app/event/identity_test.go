package event

import (
	"crypto/sha256"
	"encoding/hex"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

const uuid = "2b9f7f6c-0a4e-4c62-9a5f-6d1f5b1c9e01"

func sum(payload string) string {
	digest := sha256.Sum256([]byte(payload))
	return hex.EncodeToString(digest[:])
}

func TestIdentity(t *testing.T) {
	for name, c := range map[string]struct{ payload, uuid, want string }{
		"event id before UUID":                {`{"event_id":"e1"}`, uuid, "e1"},
		"event id of an event invalid beside": {`{"event_id":"e1","title":5}`, uuid, "e1"},
		"last event id wins":                  {`{"event_id":"e1","event_id":"e2"}`, uuid, "e2"},
		"escapes are read":                    {`{"\u0065vent_id":"\u0065\u0031"}`, "", "e1"},
		"only at the top":                     {`{"data":{"event_id":"e1"}}`, uuid, uuid},
		"exact case":                          {`{"Event_ID":"e1"}`, uuid, uuid},
		"no event id":                         {`{}`, uuid, uuid},
		"null event id":                       {`{"event_id":"e1","event_id":null}`, uuid, uuid},
		"numeric event id":                    {`{"event_id":17}`, uuid, uuid},
		"empty event id":                      {`{"event_id":""}`, uuid, uuid},
		"long event id":                       {`{"event_id":"` + strings.Repeat("x", 129) + `"}`, uuid, uuid},
		"event id with NUL":                   {`{"event_id":"\u0000"}`, uuid, uuid},
		"event id half a surrogate pair":      {`{"event_id":"\ud800"}`, uuid, uuid},
		"malformed payload":                   {`{"event_id":"e1"`, uuid, uuid},
		"payload too large":                   {`{"event_id":"e1","x":"` + strings.Repeat("x", MaxPayload) + `"}`, uuid, uuid},
		"an array":                            {`["event_id","e1"]`, uuid, uuid},
		"no UUID":                             {`{}`, "", sum(`{}`)},
		"empty payload, no UUID":              {"", "", sum("")},
		"UUID too long":                       {`{}`, strings.Repeat("x", 129), sum(`{}`)},
		"UUID with NUL":                       {`{}`, "\x00", sum(`{}`)},
		"UUID not UTF-8":                      {`{}`, "\xff", sum(`{}`)},
	} {
		t.Run(name, func(t *testing.T) {
			require.Equal(t, c.want, Identity([]byte(c.payload), c.uuid))
		})
	}
}

// Producers differ in whether they write a byte order mark; a message does not become another one by it.
func TestAByteOrderMarkIsPassedOver(t *testing.T) {
	for topic, payload := range map[string]string{
		TopicQuestionAdded: with("", ""), TopicAnswerAdded: `{"answer_id":"a1","question_id":"q1","occurred_at":"2026-03-01T10:00:00Z"}`,
		TopicAnswerRemoved: `{"answer_id":"a1","question_id":"q1","occurred_at":"2026-03-01T10:00:00Z"}`, "question-viewed": `{"event_id":"v1"}`,
	} {
		marked := []byte("\ufeff" + payload)
		require.NoError(t, Validate(topic, marked), topic)
		require.Equal(t, Identity([]byte(payload), ""), Identity(marked, ""))
		if topic == "question-viewed" {
			continue
		}
		plain, err := decodeAny(topic, []byte(payload))
		require.NoError(t, err)
		same, err := decodeAny(topic, marked)
		require.NoError(t, err)
		require.Equal(t, plain, same)
	}
	plain, err := DecodeQuestionAdded([]byte(with("", "")))
	require.NoError(t, err)
	same, err := DecodeQuestionAdded([]byte("\ufeff" + with("", "")))
	require.NoError(t, err)
	require.Equal(t, plain, same, "and the digest is the same")
}
