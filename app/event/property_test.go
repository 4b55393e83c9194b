package event

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

// text draws up to characters runes and up to bytes bytes, without NUL; bytes -1 sets no limit.
func text(least, characters, bytes int) *rapid.Generator[string] {
	visible := rapid.OneOf(rapid.Rune(), rapid.RuneFrom([]rune("\"\\/\b\f\n\r\t\u007f\u2028\ufeff\ufffd<&>😀"))).
		Filter(func(r rune) bool { return r != 0 })
	return rapid.StringOfN(visible, least, characters, bytes)
}

func optionalID() *rapid.Generator[string] { return text(0, 128, 128) }
func requiredID() *rapid.Generator[string] { return text(1, 128, 128) }

func microTime() *rapid.Generator[time.Time] {
	earliest := time.Date(2000, time.January, 1, 0, 0, 0, 0, time.UTC)
	return rapid.Custom(func(t *rapid.T) time.Time {
		return time.UnixMicro(rapid.Int64Range(earliest.UnixMicro(), noon.Add(maxAhead).UnixMicro()).Draw(t, "µs")).UTC()
	})
}

func optionalTime() *rapid.Generator[time.Time] {
	return rapid.OneOf(rapid.Just(time.Time{}), microTime())
}

func anyEvent() *rapid.Generator[encoder] {
	return rapid.OneOf(
		rapid.Custom(func(t *rapid.T) encoder {
			return QuestionAdded{
				QuestionID: requiredID().Draw(t, "question"), Title: text(0, 300, -1).Draw(t, "title"), Excerpt: text(0, 1000, -1).Draw(t, "excerpt"),
				Subject: text(1, 64, -1).Draw(t, "subject"), Grade: text(1, 64, -1).Draw(t, "grade"), AuthorID: optionalID().Draw(t, "author"),
				OccurredAt: microTime().Draw(t, "at"), EventID: optionalID().Draw(t, "event"),
				EditedAt: optionalTime().Draw(t, "edited"), CopiedAt: optionalTime().Draw(t, "copied"),
			}
		}),
		rapid.Custom(func(t *rapid.T) encoder {
			return AnswerAdded{
				AnswerID: requiredID().Draw(t, "answer"), QuestionID: requiredID().Draw(t, "question"), AuthorID: optionalID().Draw(t, "author"),
				Excerpt: text(0, 1000, -1).Draw(t, "excerpt"), OccurredAt: microTime().Draw(t, "at"), EventID: optionalID().Draw(t, "event"),
				EditedAt: optionalTime().Draw(t, "edited"), CopiedAt: optionalTime().Draw(t, "copied"),
			}
		}),
		rapid.Custom(func(t *rapid.T) encoder {
			return AnswerRemoved{
				AnswerID: requiredID().Draw(t, "answer"), QuestionID: requiredID().Draw(t, "question"), Reason: text(0, -1, -1).Draw(t, "reason"),
				OccurredAt: microTime().Draw(t, "at"), EventID: optionalID().Draw(t, "event"),
			}
		}),
	)
}

func topicAndID(e encoder) (topic, eventID string) {
	switch e := e.(type) {
	case QuestionAdded:
		return TopicQuestionAdded, e.EventID
	case AnswerAdded:
		return TopicAnswerAdded, e.EventID
	default:
		return TopicAnswerRemoved, e.(AnswerRemoved).EventID
	}
}

func TestEncodeThenDecodeIsIdentity(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		e := anyEvent().Draw(rt, "event")
		payload := encodeAtNoon(t, e)
		topic, _ := topicAndID(e)
		decoded, err := decodeAny(topic, payload)
		require.NoError(rt, err)
		require.Equal(rt, e, decoded)
		require.Equal(rt, payload, encodeAtNoon(t, decoded))
	})
}

func TestIdentityIsStable(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		e := anyEvent().Draw(rt, "event")
		payload := encodeAtNoon(t, e)
		_, eventID := topicAndID(e)
		one, other := rapid.String().Draw(rt, "uuid"), rapid.String().Draw(rt, "other uuid")
		identity := Identity(payload, one)
		require.Equal(rt, identity, Identity(payload, one))
		require.Equal(rt, identity, Identity(payload, identity), "an identity handed on as the UUID stays the same")
		require.Empty(rt, identifier.problem(identity))
		if eventID != "" {
			require.Equal(rt, eventID, identity)
			require.Equal(rt, identity, Identity(payload, other), "the UUID does not matter beside an event_id")
		}
	})
}

// A producer may order and space the members as it likes, add its own, and escape any character.
func TestPresentationDoesNotMatter(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		e := anyEvent().Draw(rt, "event")
		topic, eventID := topicAndID(e)
		var members map[string]string
		require.NoError(rt, json.Unmarshal(encodeAtNoon(t, e), &members))

		space := rapid.StringOf(rapid.RuneFrom([]rune(" \n\r\t")))
		var parts []string
		for key, value := range members {
			quoted, err := json.Marshal(value) // escapes <, > and & too
			require.NoError(rt, err)
			parts = append(parts, space.Draw(rt, "space")+`"`+key+`"`+space.Draw(rt, "space")+":"+space.Draw(rt, "space")+string(quoted)+space.Draw(rt, "space"))
		}
		for i := range rapid.IntRange(0, 3).Draw(rt, "unknown members") {
			value := rapid.SampledFrom([]string{`null`, `-0.5E9`, `{}`, `[]`, `[{"event_id":"x"},"\\"]`, `"}"`, `{"title":{"a":"\"]"}}`}).Draw(rt, "value")
			parts = append(parts, `"x`+strings.Repeat("_", i)+`":`+value)
		}
		shuffled := rapid.Permutation(parts).Draw(rt, "order")
		payload := []byte("{" + strings.Join(shuffled, ",") + "}")

		decoded, err := decodeAny(topic, payload)
		require.NoError(rt, err)
		require.Equal(rt, e, decoded)
		if eventID != "" {
			require.Equal(rt, eventID, Identity(payload, ""))
		}
	})
}
