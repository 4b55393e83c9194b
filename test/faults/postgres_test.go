package faults

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"github.com/answerfeed/answerfeed/app/event"
	"github.com/answerfeed/answerfeed/internal/producer"
)

// A transaction that somebody leaves open, with a snapshot and an id of its
// own, delays no message: neither of many, nor of few, nor on its way through
// the outbox.
func TestForgottenTransaction_DelaysNothing(t *testing.T) {
	t.Parallel()
	const n, singles = 20_000, 100
	p := onPostgres(t, sharedDatabase(t))
	client := p.open(t)
	w := p.start(t)
	forget(t, p.settings["database.dsn"])
	l := newLedger(t, 10, n)
	l.publish(t, client, 0, len(l.events))
	w.drained(t) // and all that was deleted is still there, for vacuum's purposes
	l.check(t, w)

	db, site := p.reader(t), p.site(t)
	for name, publish := range map[string]func(question string, payload []byte) error{
		"queue": func(question string, payload []byte) error {
			return client.Publisher().Publish(event.TopicQuestionAdded, producer.NewMessage(question, payload, nil))
		},
		"outbox": func(_ string, payload []byte) error {
			_, err := site.db.ExecContext(t.Context(), site.publish, event.TopicQuestionAdded, string(payload))
			return err
		},
	} {
		var took []time.Duration
		for i := range singles {
			id := fmt.Sprintf("%s-%d", name, i)
			payload, err := event.QuestionAdded{QuestionID: id, Title: id, Subject: name, Grade: "any", OccurredAt: epoch}.Encode()
			require.NoError(t, err)
			begin := time.Now()
			require.NoError(t, publish(id, payload))
			require.Eventually(t, func() bool {
				var there bool
				require.NoError(t, db.QueryRow(`SELECT EXISTS (SELECT FROM questions WHERE question_id = $1)`, id).Scan(&there))
				return there
			}, within, time.Millisecond)
			took = append(took, time.Since(begin))
		}
		slices.Sort(took)
		median, longest := took[singles/2], took[singles-1]
		t.Logf("by the %s, half took less than %v, all less than %v", name, median, longest)
		require.Less(t, median, 250*time.Millisecond)
		require.Less(t, longest, 5*time.Second) // also where the machine has other things to do
	}
}

// forget leaves a transaction open in a database until the test ends.
func forget(t testing.TB, dsn string) {
	t.Helper()
	conn, err := pgx.Connect(t.Context(), dsn)
	require.NoError(t, err)
	t.Cleanup(func() { _ = conn.Close(context.Background()) })
	tx, err := conn.BeginTx(t.Context(), pgx.TxOptions{IsoLevel: pgx.RepeatableRead})
	require.NoError(t, err)
	_, err = tx.Exec(t.Context(), `SELECT pg_current_xact_id()`)
	require.NoError(t, err)
}

// Whatever somebody writes into the queue's table by hand becomes an event or
// a dead letter, and the topic flows on.
func TestRowsByHand_InPostgres(t *testing.T) {
	t.Parallel()
	p := onPostgres(t, sharedDatabase(t))
	client := p.open(t)
	l := newLedger(t, 11, 5000)
	half := len(l.events) / 2
	l.publish(t, client, 0, half)
	good := `{"question_id":"by-hand","title":"By hand","subject":"hands","grade":"any","occurred_at":"2026-01-01T00:00:00Z"}`
	bad := map[string]struct{ metadata, payload, reason string }{
		"metadata that is no JSON":    {`{"a":`, good, "malformed"},
		"metadata that is an array":   {`["a"]`, good, "malformed"},
		"metadata that is no text":    {`{"a":1}`, good, "malformed"},
		"no metadata":                 {``, good, "malformed"},
		"a payload that is no JSON":   {`{}`, "\xff\x00 no JSON", "malformed"},
		"a payload that is empty":     {`{}`, "", "malformed"},
		"an event that lacks a field": {`{}`, `{"question_id":"q"}`, "invalid"},
	}
	hand := p.writer(t)
	insert := func(uuid, metadata, payload string) {
		_, err := hand.ExecContext(t.Context(), `INSERT INTO queue_messages (queue_id, due_at, enqueued_at, uuid, metadata, payload)
			SELECT id, 0, 0, $1, $2, $3 FROM queues WHERE name = 'question-added.feed'`, uuid, metadata, []byte(payload))
		require.NoError(t, err)
	}
	for name, row := range bad {
		insert(name, row.metadata, row.payload)
	}
	w := p.start(t)
	l.publish(t, client, half, len(l.events))
	w.drained(t)
	l.pages(t, w)

	letters := p.letters(t)
	require.Len(t, letters, len(bad))
	for name, row := range bad {
		require.Equal(t, row.reason, letters[name], name)
	}

	insert("by hand", `{}`, good)
	require.Eventually(t, func() bool { return w.subjects(t)["hands"] == 1 }, within, 5*time.Millisecond)
	require.Len(t, p.letters(t), len(bad))
}

// letters are the reasons of the dead letters on the desk, by correlation id,
// which is that of the message when nobody gave another.
func (p place) letters(t testing.TB) map[string]string {
	t.Helper()
	out, err := p.command("deadletters", "list", "-o", "json", "--limit", "100").Output()
	require.NoError(t, err)
	var body struct {
		Letters []struct {
			Reason        string
			CorrelationID string `json:"correlation_id"`
		}
	}
	require.NoError(t, json.Unmarshal(out, &body))
	reasons := map[string]string{}
	for _, l := range body.Letters {
		reasons[l.CorrelationID] = l.Reason
	}
	return reasons
}
