package faults

import (
	"context"
	"database/sql"
	"fmt"
	"maps"
	"slices"
	"testing"
	"time"

	"github.com/ThreeDotsLabs/watermill/message"
	"github.com/stretchr/testify/require"
	"golang.org/x/sync/errgroup"

	"github.com/answerfeed/answerfeed/app/event"
	"github.com/answerfeed/answerfeed/internal/importer"
)

// How long after Publish began, in another process, an answer is visible, at
// 500 a second, with queues and tables in PostgreSQL.
func BenchmarkVisible_Postgres(b *testing.B) {
	p := onPostgres(b, newDatabase(b, ownPostgres(b)))
	client := p.open(b)
	visiblePaced(b, p, 500, func(_ context.Context, m *message.Message) error {
		return client.Publisher().Publish(event.TopicAnswerAdded, m)
	})
}

// How long after a site began the transaction that stores an answer and its
// event the answer is visible, at 200 a second: by the outbox in PostgreSQL,
// the worker's relay, RabbitMQ, the worker, and its tables in PostgreSQL.
func BenchmarkVisible_OutboxByAMQP(b *testing.B) {
	p := onAMQP(b, ownBroker(b).URL).with(tablesIn(newDatabase(b, ownPostgres(b))))
	p.open(b)
	site := p.site(b)
	visiblePaced(b, p, 200, func(ctx context.Context, m *message.Message) error {
		tx, err := site.begin(ctx, importer.Event{ID: m.UUID, Topic: event.TopicAnswerAdded, Payload: m.Payload})
		if err != nil {
			return err
		}
		return tx.Commit()
	})
}

// visiblePaced reports how long answers take to be visible that are sent at a
// rate, for 20 s, after 2 s in which connections open.
func visiblePaced(b *testing.B, p place, rate int, send func(context.Context, *message.Message) error) {
	before, n := 2*rate, 22*rate
	client := p.open(b)
	publish(b, client, questions(n/4))
	w := p.start(b)
	w.drained(b)
	for b.Loop() {
		all := paced(b, p.reader(b), rate, before, answers(0, n), send)
		for _, percentile := range []int{50, 95, 99} {
			b.ReportMetric(ms(all, percentile), fmt.Sprintf("ms-p%d", percentile))
		}
	}
}

// paced sends answers at a rate, whatever becomes of those before, and returns
// how long after it was time to send them they were visible, in order; of the
// first, before, it does not.
func paced(b *testing.B, db *sql.DB, rate, before int, msgs []*message.Message, send func(context.Context, *message.Message) error) []time.Duration {
	const senders = 8
	begin := time.Now()
	due := func(i int) time.Time { return begin.Add(time.Duration(i) * time.Second / time.Duration(rate)) }
	sending, ctx := errgroup.WithContext(b.Context())
	for first := range senders {
		sending.Go(func() error {
			for i := first; i < len(msgs); i += senders {
				<-time.After(time.Until(due(i)))
				if err := send(ctx, msgs[i]); err != nil {
					return err
				}
			}
			return nil
		})
	}
	var all, early []time.Duration
	sent, next := map[string]time.Time{}, 0
	begun := due(before)
	for len(all)+len(early) < len(msgs) {
		require.NoError(b, ctx.Err())
		for ; next < len(msgs) && time.Now().After(due(next)); next++ {
			sent[msgs[next].UUID] = due(next)
		}
		seen := seenOf(b, db, sent)
		now := time.Now()
		for _, id := range seen {
			if lag := now.Sub(sent[id]); sent[id].Before(begun) {
				early = append(early, lag)
			} else {
				all = append(all, lag)
			}
			delete(sent, id)
		}
		<-time.After(2 * time.Millisecond)
	}
	require.NoError(b, sending.Wait())
	slices.Sort(all)
	return all
}

// seenOf returns which of the answers are visible, each by its key: to go
// through the table would take the worker's processors from it.
func seenOf(b testing.TB, db *sql.DB, sent map[string]time.Time) (seen []string) {
	ids := slices.Collect(maps.Keys(sent))
	questions := make([]string, len(ids))
	for i, id := range ids {
		questions[i] = questionOf(b, id)
	}
	rows, err := db.QueryContext(b.Context(), `SELECT a.answer_id FROM unnest($1::text[], $2::text[]) AS k (question_id, answer_id)
		CROSS JOIN LATERAL (SELECT answer_id FROM answers a WHERE a.question_id = k.question_id AND a.answer_id = k.answer_id OFFSET 0) a`, questions, ids)
	require.NoError(b, err)
	defer rows.Close()
	for rows.Next() {
		var id string
		require.NoError(b, rows.Scan(&id))
		seen = append(seen, id)
	}
	require.NoError(b, rows.Err())
	return seen
}

// reachedSoon is reached, for so many answers that counting them takes time.
func reachedSoon(b *testing.B, db *sql.DB, answers int) (time.Time, int) {
	for {
		n := count(b, db, "answers")
		if now := time.Now(); n >= answers {
			return now, n
		}
		<-time.After(200 * time.Millisecond)
	}
}

// The drain rate on PostgreSQL, alone, and while somebody's transaction stays
// open, with a snapshot and an id, so that nothing that was deleted goes away.
// late is the rate of the last fifth, when most of that is in the way.
func BenchmarkDrain_ForgottenTransaction(b *testing.B) {
	const waiting = 300_000
	rates := map[bool][2]float64{}
	for _, forgotten := range []bool{false, true} {
		b.Run(fmt.Sprintf("forgotten=%t", forgotten), func(b *testing.B) {
			for b.Loop() {
				p := onPostgres(b, newDatabase(b, ownPostgres(b)))
				client := p.open(b)
				publish(b, client, answers(0, waiting))
				if forgotten {
					forget(b, p.settings["database.dsn"])
				}
				w := p.start(b)
				db := p.reader(b)
				warmed, first := reachedSoon(b, db, waiting/5)
				late, most := reachedSoon(b, db, waiting*4/5)
				done, all := reachedSoon(b, db, waiting)
				w.kill()
				r := [2]float64{
					float64(all-first) / done.Sub(warmed).Seconds(),
					float64(all-most) / done.Sub(late).Seconds(),
				}
				rates[forgotten] = r
				b.ReportMetric(r[0], "answers/s")
				b.ReportMetric(r[1], "late-answers/s")
				if alone, both := rates[false]; both && forgotten {
					b.ReportMetric(r[0]/alone[0], "ratio")
					b.ReportMetric(r[1]/alone[1], "late-ratio")
				}
			}
		})
	}
}
