package event

import (
	"encoding/json"
	"os"
	"path/filepath"
	"testing"
	"unicode/utf8"

	"github.com/stretchr/testify/require"
)

// seed adds the golden payloads and every bad one.
func seed(f *testing.F, add func(topic, payload string)) {
	for name, golden := range goldens {
		payload, err := os.ReadFile(filepath.Join("testdata", name))
		require.NoError(f, err)
		add(golden.topic, string(payload))
	}
	for _, bad := range badPayloads {
		add(bad.topic, bad.payload)
	}
}

// FuzzDecode holds decoding against encoding/json, and against Encode.
func FuzzDecode(f *testing.F) {
	seed(f, func(topic, payload string) { f.Add(topic, []byte(payload)) })
	f.Fuzz(func(t *testing.T, topic string, payload []byte) {
		decoded, err := decodeAny(topic, payload)
		var reference map[string]json.RawMessage
		isObject := utf8.Valid(payload) && json.Unmarshal(payload, &reference) == nil && reference != nil
		if err != nil {
			var typed *Error
			require.ErrorAs(t, err, &typed)
			require.Equal(t, typed.Reason == ReasonMalformed, !isObject && len(payload) <= MaxPayload)
			return
		}
		require.True(t, isObject)
		for _, f := range fieldsOf(decoded) {
			if f.kind == moment {
				continue
			}
			var want string
			if raw, ok := reference[f.name]; ok {
				require.NoError(t, json.Unmarshal(raw, &want))
			}
			require.Equal(t, want, *f.text, f.name)
		}
		topic, eventID := topicAndID(decoded)
		again, err := decodeAny(topic, encodeAtNoon(t, decoded))
		require.NoError(t, err)
		require.Equal(t, decoded, again)
		if eventID != "" {
			require.Equal(t, eventID, Identity(payload, "x"))
		}
	})
}

func fieldsOf(e encoder) []field {
	switch e := e.(type) {
	case QuestionAdded:
		return e.fields()
	case AnswerAdded:
		return e.fields()
	default:
		removed := e.(AnswerRemoved)
		return removed.fields()
	}
}

// FuzzIdentity asserts that any bytes have one identity, fit to be a key.
func FuzzIdentity(f *testing.F) {
	seed(f, func(_, payload string) { f.Add([]byte(payload), uuid) })
	f.Add([]byte(`{"event_id":"\ud83d\ude00"}`), "")
	f.Fuzz(func(t *testing.T, payload []byte, uuid string) {
		identity := Identity(payload, uuid)
		require.True(t, utf8.ValidString(identity))
		require.Empty(t, identifier.problem(identity))
		require.Equal(t, identity, Identity(payload, uuid))
	})
}
