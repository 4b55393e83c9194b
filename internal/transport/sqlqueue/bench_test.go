package sqlqueue_test

import (
	"context"
	"database/sql"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/ThreeDotsLabs/watermill"
	"github.com/ThreeDotsLabs/watermill/message"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/answerfeed/answerfeed/app/database"
	"github.com/answerfeed/answerfeed/internal/transport"
	"github.com/answerfeed/answerfeed/internal/transport/sqlqueue"
)

// answer is a payload of the usual size.
var answer = []byte(`{"answer_id":"a1234567","question_id":"q1234567","author_id":"u123456","excerpt":"A derivative is the slope of the tangent: how fast a quantity changes at that very moment, which is all that the formula says.","occurred_at":"2026-05-04T10:20:30.123456Z","event_id":"se:answer:1234567"}`)

func answers(n int) []*message.Message {
	msgs := make([]*message.Message, n)
	for i := range msgs {
		msgs[i] = message.NewMessage(watermill.NewUUID(), answer)
		msgs[i].Metadata.Set(transport.KeyCorrelationID, "se:answer:1234567")
	}
	return msgs
}

// report tells the rate, and the processor time a message, which other work
// on the machine disturbs less.
func report(b *testing.B, n int, took, used time.Duration) {
	b.Helper()
	b.ReportMetric(float64(n)/took.Seconds(), "msg/s")
	b.ReportMetric(float64(used.Microseconds())/float64(n), "cpu-µs/msg")
}

// eachKind runs a benchmark on each kind of database.
func eachKind(b *testing.B, run func(b *testing.B, make func(testing.TB) place)) {
	b.Run("sqlite", func(b *testing.B) { run(b, onSQLite) })
	b.Run("postgres", func(b *testing.B) { run(b, onPostgres) })
}

func BenchmarkPublish(b *testing.B) {
	eachKind(b, func(b *testing.B, make func(testing.TB) place) {
		b.Run("1 by 100 callers", func(b *testing.B) { publishBy(b, make(b), 100, false) })
		b.Run("1 by 100 callers, beside one whom nobody hears", func(b *testing.B) { publishBy(b, make(b), 100, true) })
		b.Run("500 by 1 caller", func(b *testing.B) {
			q, _ := start(b, make(b), sqlqueue.Config{})
			msgs := answers(500)
			used := cpu(b)
			for b.Loop() {
				require.NoError(b, q.Publisher().Publish(topic, msgs...))
			}
			report(b, 500*b.N, b.Elapsed(), cpu(b)-used)
		})
	})
}

func publishBy(b *testing.B, at place, callers int, beside bool) {
	q, _ := start(b, at, sqlqueue.Config{})
	var all, other sync.WaitGroup
	ctx, stop := context.WithCancel(b.Context())
	if beside {
		other.Go(func() {
			m := message.NewMessage("x", nil)
			for ctx.Err() == nil {
				require.ErrorIs(b, q.Publisher().Publish("nobody", m), transport.ErrNoQueue)
			}
		})
	}
	var left atomic.Int64
	left.Store(int64(b.N))
	used := cpu(b)
	b.ResetTimer()
	for range callers {
		all.Go(func() {
			m := answers(1)[0]
			for left.Add(-1) >= 0 {
				require.NoError(b, q.Publisher().Publish(topic, m))
			}
		})
	}
	all.Wait()
	report(b, b.N, b.Elapsed(), cpu(b)-used)
	b.StopTimer()
	stop()
	other.Wait()
}

// fill puts n messages in the queue, past the publisher.
func fill(t testing.TB, at place, db *database.DB, n int) {
	t.Helper()
	query := `WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i+1 FROM n WHERE i < $1)
		INSERT INTO queue_messages (queue_id, due_at, enqueued_at, uuid, metadata, payload)
		SELECT 1, i, CAST(unixepoch('subsec') * 1000000 AS INTEGER), hex(randomblob(16)), '{"correlation_id":"se:answer:1234567"}', $2 FROM n`
	if !at.onSQLite() {
		query = `INSERT INTO queue_messages (queue_id, due_at, enqueued_at, uuid, metadata, payload)
			SELECT 1, i, extract(epoch FROM clock_timestamp())::bigint * 1000000, gen_random_uuid()::text, '{"correlation_id":"se:answer:1234567"}', $2 FROM generate_series(1, $1::integer) AS i`
	}
	const step = 50_000
	for ; n > 0; n -= step {
		require.NoError(t, db.Update(t.Context(), database.Relaxed, func(ctx context.Context, tx *sql.Tx) error {
			_, err := tx.ExecContext(ctx, query, min(n, step), answer)
			return err
		}))
	}
	if !at.onSQLite() { // as autovacuum does within a minute
		exec(t, raw(t, at), "VACUUM ANALYZE queue_messages")
		exec(t, raw(t, at), "CHECKPOINT")
	}
}

// BenchmarkDrain acknowledges messages as they come, with a window of 1,000, and
// with more messages behind; on PostgreSQL also while an idle transaction
// holds a snapshot and an id.
func BenchmarkDrain(b *testing.B) {
	const n = 100_000
	eachKind(b, func(b *testing.B, make func(testing.TB) place) {
		for _, behind := range []int{0, 1_000_000} {
			b.Run(fmt.Sprintf("%d behind", behind), func(b *testing.B) { drain(b, make(b), n, behind, false) })
			if b.Name() == "BenchmarkDrain/postgres" {
				b.Run(fmt.Sprintf("%d behind, old snapshot", behind), func(b *testing.B) { drain(b, make(b), n, behind, true) })
			}
		}
	})
}

func drain(b *testing.B, at place, n, behind int, old bool) {
	var took, used time.Duration
	for b.Loop() {
		b.StopTimer()
		q, db := start(b, at, sqlqueue.Config{})
		fill(b, at, db, n+behind)
		if old {
			holdSnapshot(b, at)
		}
		b.StartTimer()
		began, before := time.Now(), cpu(b)
		messages := consume(b, q, 1000)
		for range n {
			(<-messages).Ack()
		}
		took, used = took+time.Since(began), used+cpu(b)-before
		b.StopTimer()
		require.NoError(b, q.Close())
		require.NoError(b, db.Close())
		exec(b, raw(b, at), "DELETE FROM queue_messages")
		b.StartTimer()
	}
	report(b, n*b.N, took, used)
}

// holdSnapshot is an idle transaction that has read and written.
func holdSnapshot(t testing.TB, at place) {
	t.Helper()
	conn := raw(t, at)
	exec(t, conn, "CREATE TABLE IF NOT EXISTS held (n INTEGER)")
	exec(t, conn, "BEGIN ISOLATION LEVEL REPEATABLE READ")
	exec(t, conn, "INSERT INTO held SELECT count(*) FROM queues")
	t.Cleanup(func() { _, _ = conn.ExecContext(context.WithoutCancel(t.Context()), "ROLLBACK") })
}

// BenchmarkOtherProcess tells how long a message takes that another process,
// for which a second handle stands, publishes to a running consumer: from the
// call of Publish to the handler. At 500 a second.
func BenchmarkOtherProcess(b *testing.B) {
	eachKind(b, func(b *testing.B, make func(testing.TB) place) { otherProcess(b, make(b)) })
}

func otherProcess(b *testing.B, at place) {
	q, _ := start(b, at, sqlqueue.Config{})
	other, _ := open(b, at, sqlqueue.Config{})
	messages := consume(b, q, 100)
	var took []time.Duration
	tick := time.NewTicker(2 * time.Millisecond)
	defer tick.Stop()
	go func() {
		for range b.N {
			<-tick.C
			m := message.NewMessage(time.Now().Format(time.RFC3339Nano), answer)
			go func() { assert.NoError(b, other.Publisher().Publish(topic, m)) }()
		}
	}()
	for range b.N {
		m := next(b, messages)
		began, err := time.Parse(time.RFC3339Nano, m.UUID)
		require.NoError(b, err)
		took = append(took, time.Since(began))
		m.Ack()
	}
	slices.Sort(took)
	quantile := func(p float64) float64 {
		return float64(took[min(int(p*float64(len(took))), len(took)-1)].Microseconds()) / 1000
	}
	for _, p := range []float64{0.5, 0.9, 0.99, 1} {
		b.ReportMetric(quantile(p), fmt.Sprintf("ms_p%g", p*100))
	}
}
