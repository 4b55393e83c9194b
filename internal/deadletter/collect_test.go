package deadletter_test

import (
	"bytes"
	"context"
	"log/slog"
	"testing"
	"time"

	"github.com/ThreeDotsLabs/watermill/message"
	"github.com/stretchr/testify/require"

	"github.com/answerfeed/answerfeed/app"
	"github.com/answerfeed/answerfeed/app/database"
	"github.com/answerfeed/answerfeed/app/event"
	"github.com/answerfeed/answerfeed/internal/deadletter"
	"github.com/answerfeed/answerfeed/internal/transport"
)

// collect stores m as what came to the dead queue of feed on answer-added.
func collect(t *testing.T, m *message.Message) *deadletter.Letter {
	t.Helper()
	s := newStore(t, database.SQLite)
	require.NoError(t, s.Collect("feed", "answer-added", nil)(m), "nothing is logged")
	ids, err := s.Newest(t.Context(), 2)
	require.NoError(t, err)
	require.Len(t, ids, 1)
	l, err := s.Get(t.Context(), ids[0])
	require.NoError(t, err)
	return l
}

func TestCollect_ReadsWhatTheMiddlewareWrote(t *testing.T) {
	m := message.NewMessage("u1", []byte(`{"event_id":"e1"}`))
	m.Metadata = message.Metadata{
		"reason_poisoned": "invalid", "topic_poisoned": "answer-added", "handler_poisoned": "feed", "own": "kept",
		transport.KeyError: "invalid event: title: missing", transport.KeyCorrelationID: "c1",
		transport.KeyAttempts: "7", transport.KeyRedeliveries: "2", transport.KeyRequeues: "1",
		transport.KeyFirstFailedAt: "2026-01-02T03:04:05.000001Z", transport.KeyLastFailedAt: "2026-01-02T04:04:05+01:00",
	}
	l := collect(t, m)
	require.Regexp(t, `^[0-9a-f]{32}$`, l.ID)
	require.Equal(t, &deadletter.Letter{
		ID: l.ID, Fingerprint: l.Fingerprint, State: deadletter.Dead,
		Handler: "feed", Topic: "answer-added", Identity: "e1", Requeues: 1, Reason: "invalid",
		Error: "invalid event: title: missing", CorrelationID: "c1", Attempts: 7, Redeliveries: 2,
		FirstFailedAt: time.Date(2026, 1, 2, 3, 4, 5, 1000, time.UTC), LastFailedAt: time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC),
		UUID: "u1", Metadata: m.Metadata, Payload: m.Payload, Size: 17,
	}, l)
}

// What a broker's own limit moved there has none of our headers.
func TestCollect_WithoutHeaders(t *testing.T) {
	for name, m := range map[string]*message.Message{
		"none": {UUID: "u1", Metadata: nil, Payload: []byte("\xff\x00")},
		"unreadable": {UUID: "u1", Payload: []byte("\xff\x00"), Metadata: message.Metadata{
			transport.KeyAttempts: "many", transport.KeyFirstFailedAt: "yesterday", transport.KeyLastFailedAt: "", transport.KeyRequeues: "-1",
		}},
	} {
		t.Run(name, func(t *testing.T) {
			l := collect(t, m)
			require.Equal(t, "unknown", l.Reason)
			require.Equal(t, "u1", l.Identity)
			require.Equal(t, "u1", l.CorrelationID)
			require.Zero(t, l.Attempts+l.Redeliveries+l.Requeues)
			require.WithinDuration(t, time.Now(), l.LastFailedAt, time.Minute)
			require.Equal(t, l.LastFailedAt, l.FirstFailedAt)
			require.Equal(t, m.Payload, message.Payload(l.Payload))
		})
	}
}

func TestCollect_WithoutUUID(t *testing.T) {
	l := collect(t, message.NewMessage("", []byte("text")))
	require.Equal(t, event.Identity([]byte("text"), ""), l.Identity)
	require.Equal(t, l.Identity, l.CorrelationID)
}

func TestCollect_AnErrorIsToldAndLeavesTheMessage(t *testing.T) {
	s := newStore(t, database.SQLite)
	s.Close()
	var log bytes.Buffer
	collect := s.Collect("feed", "answer-added", slog.New(app.LogHandler(slog.NewTextHandler(&log, nil))))
	m := message.NewMessage("u1", []byte("private"))
	require.ErrorIs(t, collect(m), database.ErrClosed)
	require.Contains(t, log.String(), "could not be stored")
	require.Contains(t, log.String(), "handler=feed topic=answer-added correlation_id=u1")
	require.NotContains(t, log.String(), "private")

	log.Reset()
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	m.SetContext(ctx)
	require.Error(t, collect(m))
	require.Empty(t, log.String(), "a stop is no failure")
}
