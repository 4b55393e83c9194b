package middleware_test

import (
	"errors"
	"log/slog"
	"strings"
	"testing"

	"github.com/ThreeDotsLabs/watermill/message"
	"github.com/stretchr/testify/require"

	"github.com/answerfeed/answerfeed/app/event"
	"github.com/answerfeed/answerfeed/app/failure"
	"github.com/answerfeed/answerfeed/internal/transport"
	"github.com/answerfeed/answerfeed/middleware"
)

func quiet(r *rig) *slog.Logger { return slog.New(slog.NewTextHandler(r.log, nil)) }

func TestRecover_MakesAnErrorOfAPanic(t *testing.T) {
	for name, value := range map[string]any{"an error": errBoom, "nil": nil, "text": "boom", "a number": 7} {
		t.Run(name, func(t *testing.T) {
			h := middleware.Recover(func(*message.Message) ([]*message.Message, error) { panic(value) })
			_, err := h(newMessage())
			var panicked *failure.Panicked
			require.ErrorAs(t, err, &panicked)
			if value != nil {
				require.Equal(t, value, panicked.Value)
			}
			require.Contains(t, panicked.Stack, "TestRecover_MakesAnErrorOfAPanic", "where it happened")
			require.Equal(t, failure.Panic, failure.Classify(err).Reason)
		})
	}
}

func TestRecover_CutsTheStack(t *testing.T) {
	_, err := middleware.Recover(deep(200))(newMessage())
	var panicked *failure.Panicked
	require.ErrorAs(t, err, &panicked)
	require.LessOrEqual(t, len(panicked.Stack), 2<<10)
	require.Contains(t, panicked.Stack, "deep", "the panicking frame is in what is kept")
}

func deep(n int) message.HandlerFunc {
	return func(m *message.Message) ([]*message.Message, error) {
		if n == 0 {
			panic("deep")
		}
		return deep(n - 1)(m)
	}
}

func TestRecover_LeavesResultsAlone(t *testing.T) {
	out := []*message.Message{newMessage()}
	got, err := middleware.Recover(func(*message.Message) ([]*message.Message, error) { return out, errBoom })(newMessage())
	require.Equal(t, out, got)
	require.Equal(t, errBoom, err)
}

func TestLimits(t *testing.T) {
	tests := map[string]struct {
		payload  int
		metadata message.Metadata
		reason   failure.Reason // "" = passes
	}{
		"nothing":                   {0, nil, ""},
		"the largest payload":       {event.MaxPayload, nil, ""},
		"a byte more":               {event.MaxPayload + 1, nil, failure.TooLarge},
		"2 MiB":                     {2 << 20, nil, failure.TooLarge},
		"unreadable metadata":       {1, message.Metadata{transport.KeyBadMetadata: "[1]"}, failure.Malformed},
		"metadata of no text":       {1, message.Metadata{transport.KeyBadMetadata: ""}, failure.Malformed},
		"the largest metadata":      {1, message.Metadata{"k": strings.Repeat("v", event.MaxMetadata-1)}, ""},
		"metadata, a byte more":     {1, message.Metadata{"k": strings.Repeat("v", event.MaxMetadata)}, failure.TooLarge},
		"a key that is too long":    {1, message.Metadata{strings.Repeat("k", event.MaxMetadataKey+1): ""}, failure.Invalid},
		"a value with NUL":          {1, message.Metadata{"k": "\x00"}, failure.Invalid},
		"a correlation id with NUL": {1, message.Metadata{transport.KeyCorrelationID: "\x00"}, failure.Invalid},
		"a value that is no text":   {1, message.Metadata{"k": "\xff"}, failure.Invalid},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			h, m := fails(nil), message.NewMessage("u1", make([]byte, test.payload))
			m.Metadata = test.metadata
			_, err := middleware.Limits(func(m *message.Message) ([]*message.Message, error) { return nil, h.handle(m) })(m)
			if test.reason == "" {
				require.NoError(t, err)
				require.Equal(t, 1, h.attempts)
				return
			}
			require.Zero(t, h.attempts)
			verdict := failure.Classify(err)
			require.Equal(t, failure.KindPermanent, verdict.Kind)
			require.Equal(t, test.reason, verdict.Reason)
		})
	}
}

// What the worker itself writes into the metadata must not make a message
// too large that its producer was allowed to send.
func TestLimits_TheWorkersOwnNotesCountAsNothing(t *testing.T) {
	r, m := newRig(t, func(s *middleware.Settings) { s.Backoff = 0 }), newMessage()
	m.Metadata.Set("k", strings.Repeat("v", event.MaxMetadata-1))
	require.NoError(t, event.CheckMetadata(m.Metadata))
	h := fails(failure.Transient(errBoom))
	for delivery := 1; delivery <= 3; delivery++ {
		require.NoError(t, r.handle(m, h.handle))
		require.Equal(t, 3*delivery, h.attempts)
	}
	require.Equal(t, string(middleware.Exhausted), r.letters[0]["reason_poisoned"])

	m = newMessage()
	for _, key := range []string{transport.KeyCorrelationID, transport.KeyAttempts, transport.KeyError} {
		m.Metadata.Set(key, strings.Repeat("v", event.MaxMetadata))
		_, err := middleware.Limits(func(*message.Message) ([]*message.Message, error) { return nil, nil })(m)
		require.Equal(t, failure.TooLarge, failure.Classify(err).Reason, "its names are no hiding place: %s", key)
		delete(m.Metadata, key)
	}
}

func TestCorrelation(t *testing.T) {
	tests := map[string]struct {
		given         *string
		uuid, payload string
		want          string
	}{
		"kept":             {new("c1"), "u1", payload, "c1"},
		"absent":           {nil, "u1", payload, "e1"},
		"empty":            {new(""), "u1", payload, "e1"},
		"without event id": {nil, "u1", `{}`, "u1"},
		"without anything": {nil, "", `{}`, event.Identity([]byte(`{}`), "")},
		"unreadable":       {nil, "", "\xff", event.Identity([]byte("\xff"), "")},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			for range 2 { // the same when it comes again
				m := message.NewMessage(test.uuid, []byte(test.payload))
				if test.given != nil {
					m.Metadata.Set(transport.KeyCorrelationID, *test.given)
				}
				var seen *event.Message
				h := middleware.Correlation(newRig(t).Settings)(func(m *message.Message) ([]*message.Message, error) {
					seen = event.MessageOf(m.Context())
					return nil, nil
				})
				_, err := h(m)
				require.NoError(t, err)
				require.Equal(t, test.want, m.Metadata.Get(transport.KeyCorrelationID))
				require.Equal(t, test.want, seen.CorrelationID)
				require.Equal(t, event.Identity([]byte(test.payload), test.uuid), seen.Identity())
				require.Equal(t, handlerName, seen.Handler)
				require.Equal(t, topicName, seen.Topic)
			}
		})
	}
}

func TestCorrelation_TravelsWithRedeliveryAndLetter(t *testing.T) {
	for _, err := range []error{failure.TransientAfter(errBoom, 1<<40), errBoom} {
		r, m := newRig(t), newMessage()
		m.Metadata = nil
		require.NoError(t, r.handle(m, fails(err).handle))
		for _, moved := range r.redelivered {
			require.Equal(t, "e1", moved.metadata[transport.KeyCorrelationID])
		}
		for _, letter := range r.letters {
			require.Equal(t, "e1", letter[transport.KeyCorrelationID])
		}
		require.Equal(t, 1, len(r.redelivered)+len(r.letters))
	}
}

func TestFromEvent_LeavesOtherErrorsAlone(t *testing.T) {
	require.NoError(t, middleware.FromEvent(nil))
	own := errors.New("own")
	require.Equal(t, own, middleware.FromEvent(own))
}
