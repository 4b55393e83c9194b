package deadletter_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/ThreeDotsLabs/watermill/message"
	"github.com/stretchr/testify/require"

	"github.com/answerfeed/answerfeed/app/database"
	"github.com/answerfeed/answerfeed/app/event"
	"github.com/answerfeed/answerfeed/internal/deadletter"
	"github.com/answerfeed/answerfeed/internal/transport"
)

var failed = map[string]string{
	"reason_poisoned": "invalid", "topic_poisoned": "answer-added", "handler_poisoned": "feed", "subscriber_poisoned": "s",
	transport.KeyAttempts: "7", transport.KeyRedeliveries: "2", transport.KeyFirstFailedAt: "x", transport.KeyLastFailedAt: "y",
	transport.KeyError: "no", transport.KeyBadMetadata: "[1]", transport.KeyCorrelationID: "c1", transport.KeyTraceParent: "00-1", "own": "kept",
}

func TestRequeue_ToItsOwnHandlerAsIfNothingHadHappened(t *testing.T) {
	onEach(t, func(t *testing.T, driver string) {
		r := newRig(t, driver)
		l := letter(func(l *deadletter.Letter) { l.Identity, l.Metadata, l.Requeues = "u1", failed, 3 })
		r.save(t, l)
		result, err := r.desk.Requeue(t.Context(), deadletter.Selection{IDs: []string{l.ID}}, deadletter.Options{})
		require.NoError(t, err)
		require.Equal(t, deadletter.Result{Selected: 1, Done: 1}, result)

		got := taken(t, r.queue, subscriptions[0])
		require.Len(t, got, 1)
		require.Equal(t, "u1", got[0].UUID)
		require.Equal(t, string(l.Payload), string(got[0].Payload))
		require.Equal(t, message.Metadata{
			transport.KeyCorrelationID: "c1", transport.KeyTraceParent: "00-1", "own": "kept", transport.KeyRequeues: "4",
		}, got[0].Metadata)
		require.Empty(t, taken(t, r.queue, subscriptions[1]), "nobody else hears of it")

		kept, err := r.desk.Show(t.Context(), l.ID)
		require.NoError(t, err)
		require.Equal(t, deadletter.Requeued, kept.State)
		require.Equal(t, r.clock.now(), kept.RequeuedAt)
		require.Equal(t, failed, kept.Metadata, "the history stays")
		requireExact(t, r.db)

		// It fails again: another letter, of the same history.
		got[0].SetContext(t.Context())
		require.NoError(t, r.store.Collect("feed", "answer-added", nil)(got[0]))
		page, err := r.desk.List(t.Context(), deadletter.Filter{}, 10, "")
		require.NoError(t, err)
		require.Len(t, page.Letters, 1)
		require.NotEqual(t, l.ID, page.Letters[0].ID)
		require.Equal(t, 4, page.Letters[0].Requeues)
		history, err := r.desk.History(t.Context(), kept)
		require.NoError(t, err)
		require.Len(t, history, 2)
		requireExact(t, r.db)
	})
}

// Whatever made it the same message goes on doing so, for the inbox's sake.
func TestRequeue_KeepsTheIdentity(t *testing.T) {
	onEach(t, func(t *testing.T, driver string) {
		r := newRig(t, driver)
		for name, m := range map[string]*message.Message{
			"an event id":   message.NewMessage("u1", []byte(`{"event_id":"e1"}`)),
			"a UUID":        message.NewMessage("u2", []byte(`{}`)),
			"the payload":   message.NewMessage("", []byte(`{}`)),
			"no valid UUID": message.NewMessage("u\x00", []byte(`[]`)),
			"nor text":      message.NewMessage("\xff", []byte("\xff")),
			"too long":      message.NewMessage(strings.Repeat("u", 200), []byte("\xfe")),
		} {
			want := event.Identity(m.Payload, m.UUID)
			require.NoError(t, r.store.Collect("feed", "answer-added", nil)(m), name)
			_, err := r.desk.Requeue(t.Context(), deadletter.Selection{}, deadletter.Options{})
			require.NoError(t, err, name)
			got := taken(t, r.queue, subscriptions[0])
			require.Len(t, got, 1, name)
			require.Equal(t, want, event.Identity(got[0].Payload, got[0].UUID), name)
			require.Equal(t, m.Payload, got[0].Payload, name)
		}
	})
}

func TestRepair(t *testing.T) {
	onEach(t, func(t *testing.T, driver string) {
		r := newRig(t, driver)
		l := letter()
		r.save(t, l)
		ctx := t.Context()
		var broken *event.Error
		_, err := r.desk.Repair(ctx, l.ID, []byte(`{"answer_id":"a1"}`), deadletter.Options{})
		require.ErrorAs(t, err, &broken, "it is validated first")
		_, err = r.desk.Repair(ctx, l.ID, nil, deadletter.Options{})
		require.ErrorAs(t, err, &broken)
		_, err = r.desk.Repair(ctx, "none", nil, deadletter.Options{})
		require.ErrorIs(t, err, deadletter.ErrNotFound)
		require.Equal(t, deadletter.Dead, r.state(t, l.ID))

		good := []byte(`{"answer_id":"a1","question_id":"q1","occurred_at":"2026-01-02T03:04:05Z"}`)
		result, err := r.desk.Repair(ctx, l.ID, good, deadletter.Options{DryRun: true})
		require.NoError(t, err)
		require.Equal(t, 1, result.Done)
		kept, err := r.desk.Show(ctx, l.ID)
		require.NoError(t, err)
		require.Nil(t, kept.Repaired, "a dry run writes nothing")

		result, err = r.desk.Repair(ctx, l.ID, good, deadletter.Options{})
		require.NoError(t, err)
		require.Equal(t, 1, result.Done)
		require.Equal(t, string(good), string(taken(t, r.queue, subscriptions[0])[0].Payload))
		kept, err = r.desk.Show(ctx, l.ID)
		require.NoError(t, err)
		require.Equal(t, string(l.Payload), string(kept.Payload), "the original is kept")
		require.Equal(t, string(good), string(kept.Repaired))
		_, err = r.desk.Repair(ctx, l.ID, good, deadletter.Options{})
		require.ErrorIs(t, err, deadletter.ErrState)

		// Of a topic that nobody here knows, any bytes are taken.
		other := letter(func(l *deadletter.Letter) { l.Topic = "question-viewed" })
		r.save(t, other)
		_, err = r.desk.Repair(ctx, other.ID, []byte("\xff\x00"), deadletter.Options{})
		require.NoError(t, err)
		require.Equal(t, "\xff\x00", string(taken(t, r.queue, subscriptions[2])[0].Payload))
	})
}

func TestRequeue_WhatCannotBe(t *testing.T) {
	onEach(t, func(t *testing.T, driver string) {
		r := newRig(t, driver)
		good, gone := letter(), letter(func(l *deadletter.Letter) { l.Handler = "no-longer-there" })
		discarded, requeued := letter(identity("e2")), letter(identity("e3"))
		r.save(t, good, gone, discarded, requeued)
		_, err := r.desk.Discard(t.Context(), deadletter.Selection{IDs: []string{discarded.ID}}, deadletter.Options{})
		require.NoError(t, err)
		_, err = r.desk.Requeue(t.Context(), deadletter.Selection{IDs: []string{requeued.ID}}, deadletter.Options{})
		require.NoError(t, err)
		refused := map[string]error{}
		result, err := r.desk.Requeue(t.Context(), deadletter.Selection{IDs: []string{good.ID, gone.ID, discarded.ID, requeued.ID, "none", good.ID}},
			deadletter.Options{Refused: func(id string, err error) { refused[id] = err }})
		require.NoError(t, err)
		require.Equal(t, deadletter.Result{Selected: 4, Done: 1, Passed: 1, Refused: 3}, result)
		require.Len(t, refused, 3)
		require.ErrorIs(t, refused[gone.ID], transport.ErrNoQueue)
		require.ErrorIs(t, refused[discarded.ID], deadletter.ErrState)
		require.EqualError(t, refused[discarded.ID], "not in the right state: it is discarded, and only what is dead can be requeued")
		require.ErrorIs(t, refused["none"], deadletter.ErrNotFound)
		require.Equal(t, deadletter.Dead, r.state(t, gone.ID), "it can wait")
		require.Len(t, taken(t, r.queue, subscriptions[0]), 2)
		requireExact(t, r.db)
	})
}

// flaky fails as it is told, and else publishes.
type flaky struct {
	message.Publisher
	fail func(queue string, msgs []*message.Message) error
}

func (f flaky) Publish(queue string, msgs ...*message.Message) error {
	if err := f.fail(queue, msgs); err != nil {
		return err
	}
	return f.Publisher.Publish(queue, msgs...)
}

func TestRequeue_TheTransportFails(t *testing.T) {
	r := newRig(t, database.SQLite)
	for i := range 250 {
		r.save(t, letter(identity(fmt.Sprint(i))))
	}
	away := errors.New("away")
	calls := 0
	desk := deadletter.NewDesk(deadletter.DeskOptions{DB: r.db, Who: "x", Logger: slog.New(slog.DiscardHandler), Publisher: flaky{r.queue.Publisher(), func(string, []*message.Message) error {
		if calls++; calls > 1 {
			return away
		}
		return nil
	}}})
	result, err := desk.Requeue(t.Context(), deadletter.Selection{}, deadletter.Options{})
	require.ErrorIs(t, err, away)
	require.Equal(t, 100, result.Done)
	require.LessOrEqual(t, calls, 5, "it gives up")
	requireExact(t, r.db)

	// One message that cannot be sent holds up nobody.
	stuck := 0
	desk = deadletter.NewDesk(deadletter.DeskOptions{DB: r.db, Who: "x", Logger: slog.New(slog.DiscardHandler), Publisher: flaky{r.queue.Publisher(), func(_ string, msgs []*message.Message) error {
		for _, m := range msgs {
			if m.Metadata.Get(transport.KeyCorrelationID) == "c1" && event.Identity(m.Payload, m.UUID) == "7" {
				stuck++
				return errors.New("its metadata are too long")
			}
		}
		return nil
	}}})
	r.save(t, letter(identity("7"), func(l *deadletter.Letter) { l.Requeues = 5 }))
	result, err = desk.Requeue(t.Context(), deadletter.Selection{}, deadletter.Options{})
	require.NoError(t, err)
	require.Equal(t, stuck/2, result.Refused)
	require.NotZero(t, stuck)
	require.Equal(t, result.Selected, result.Done+result.Refused)
	acts, err := desk.Audit(t.Context(), 10)
	require.NoError(t, err)
	require.Len(t, acts, 2)
	require.Equal(t, 100, acts[1].Letters)
	require.Zero(t, acts[1].EndedAt, "cut short")
}

func TestRequeue_Rate(t *testing.T) {
	r := newRig(t, database.SQLite)
	for i := range 30 {
		r.save(t, letter(identity(fmt.Sprint(i))))
	}
	desk := deadletter.NewDesk(deadletter.DeskOptions{DB: r.db, Logger: slog.New(slog.DiscardHandler), Publisher: r.queue.Publisher()})
	began := time.Now()
	steps := 0
	result, err := desk.Requeue(t.Context(), deadletter.Selection{}, deadletter.Options{Rate: 100, Progress: func(deadletter.Result) { steps++ }})
	require.NoError(t, err)
	require.Equal(t, 30, result.Done)
	require.Greater(t, time.Since(began), 290*time.Millisecond)
	require.Equal(t, 3, steps)

	r.save(t, letter(identity("x")), letter(identity("y")))
	ctx, cancel := context.WithCancel(t.Context())
	result, err = desk.Requeue(ctx, deadletter.Selection{}, deadletter.Options{Rate: 0.001, Progress: func(deadletter.Result) { cancel() }})
	require.ErrorIs(t, err, context.Canceled)
	require.Equal(t, 1, result.Done, "what was sent is marked")
	requireExact(t, r.db)
}

func TestRequeue_WarnsOfWhatTheInboxHasForgotten(t *testing.T) {
	r := newRig(t, database.SQLite)
	r.save(t, letter(), letter(identity("old"), func(l *deadletter.Letter) { l.FirstFailedAt = someTime.Add(-database.InboxKept - 2*time.Hour) }))
	for _, dry := range []bool{true, false} {
		result, err := r.desk.Requeue(t.Context(), deadletter.Selection{}, deadletter.Options{DryRun: dry})
		require.NoError(t, err)
		require.Equal(t, deadletter.Result{Selected: 2, Done: 2, Old: 1}, result)
	}
}
