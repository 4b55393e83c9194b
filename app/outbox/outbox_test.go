package outbox_test

import (
	"context"
	"database/sql"
	"errors"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/answerfeed/answerfeed/app/database"
	"github.com/answerfeed/answerfeed/app/event"
	"github.com/answerfeed/answerfeed/app/outbox"
)

func TestPublish_IsOfTheTransaction(t *testing.T) {
	onBoth(t, func(t *testing.T, db *database.DB, _ database.Config) {
		changedMind := errors.New("changed my mind")
		store := func(id string, end error) error {
			return db.Update(t.Context(), database.Durable, func(ctx context.Context, tx *sql.Tx) error {
				_, err := tx.ExecContext(ctx, `INSERT INTO site_answers VALUES ($1)`, id)
				return errors.Join(err, outbox.Publish(ctx, tx, event.TopicAnswerAdded, answer(id)), end)
			})
		}
		require.NoError(t, store("a1", nil))
		require.ErrorIs(t, store("a2", changedMind), changedMind)
		require.NoError(t, store("a3", nil))

		all := outboxOf(t, db)
		require.Len(t, all, 2)
		require.Equal(t, event.TopicAnswerAdded, all[0].topic)
		require.Equal(t, "{}", all[0].metadata)
		require.NotEqual(t, all[0].uuid, all[1].uuid)
		require.NotEmpty(t, all[0].uuid)
		want, err := answer("a1").Encode()
		require.NoError(t, err)
		require.Equal(t, string(want), all[0].payload, "byte for byte")

		b, err := outbox.Count(t.Context(), db)
		require.NoError(t, err)
		require.EqualValues(t, 2, b.Waiting)
		require.Zero(t, b.Failing)
	})
}

// A handler publishes what its effect sets off; the message comes twice.
func TestPublish_InAHandler(t *testing.T) {
	onBoth(t, func(t *testing.T, db *database.DB, _ database.Config) {
		moderate := func(ctx context.Context, e event.AnswerAdded) error {
			m := event.MessageOf(ctx)
			return db.Once(ctx, m.Handler, m.Topic, m.Identity(), func(_ context.Context, tx *sql.Tx) error {
				return outbox.Publish(ctx, tx, event.TopicAnswerRemoved, event.AnswerRemoved{
					AnswerID: e.AnswerID, QuestionID: e.QuestionID, Reason: "spam", OccurredAt: e.OccurredAt,
				}, outbox.WithMetadata(map[string]string{"by": "moderation"}))
			})
		}
		ctx := event.WithMessage(t.Context(), event.NewMessage(event.TopicAnswerAdded, "moderation", "c-1", []byte(`{}`), "u-1"))
		require.NoError(t, moderate(ctx, answer("a1")))
		require.NoError(t, moderate(ctx, answer("a1")))

		all := outboxOf(t, db)
		require.Len(t, all, 1)
		require.Equal(t, event.TopicAnswerRemoved, all[0].topic)
		require.JSONEq(t, `{"correlation_id":"c-1","by":"moderation"}`, all[0].metadata)
	})
}

type custom struct {
	payload string
	err     error
}

func (c custom) Encode() ([]byte, error) { return []byte(c.payload), c.err }

func TestPublish_RefusesWhatBreaksTheContract(t *testing.T) {
	db := migrated(t, database.Config{Driver: database.SQLite, DSN: t.TempDir() + "/site.db"})
	broken := errors.New("broken")
	tests := map[string]struct {
		topic    string
		event    outbox.Event
		metadata map[string]string
		want     string
	}{
		"no topic":        {"", custom{payload: "{}"}, nil, "topic"},
		"a queue":         {"answer-added.feed", custom{payload: "{}"}, nil, "topic"},
		"no JSON":         {"viewed", custom{payload: "{"}, nil, "malformed"},
		"no object":       {"viewed", custom{payload: "[]"}, nil, "not a JSON object"},
		"too large":       {"viewed", custom{payload: `{"a":"` + strings.Repeat("a", event.MaxPayload) + `"}`}, nil, "too-large"},
		"a field missing": {event.TopicAnswerAdded, custom{payload: `{}`}, nil, "answer_id: missing"},
		"no event":        {event.TopicAnswerAdded, event.AnswerAdded{}, nil, "answer_id: empty"},
		"metadata":        {"viewed", custom{payload: "{}"}, map[string]string{"": "x"}, "metadata"},
		"of the encoder":  {"viewed", custom{err: broken}, nil, "broken"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			err := db.Update(t.Context(), database.Durable, func(ctx context.Context, tx *sql.Tx) error {
				err := outbox.Publish(ctx, tx, test.topic, test.event, outbox.WithMetadata(test.metadata))
				require.ErrorContains(t, err, test.want)
				return nil // the transaction may go on
			})
			require.NoError(t, err)
		})
	}
	require.Empty(t, outboxOf(t, db))
}
