package sqlqueue_test

import (
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/ThreeDotsLabs/watermill/message"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/answerfeed/answerfeed/internal/transport"
	"github.com/answerfeed/answerfeed/internal/transport/sqlqueue"
)

// Dead rows that nobody may clear away, and marks that have passed them, delay
// nothing: neither what comes, nor what was committed late, nor what another
// gave up.
func TestOldSnapshot_DelaysNothing(t *testing.T) {
	at := onPostgres(t)
	q, db := start(t, at, sqlqueue.Config{Lease: long})
	holdSnapshot(t, at)
	other, _ := open(t, at, sqlqueue.Config{Lease: long})
	fill(t, at, db, 20_000)
	lost := next(t, consume(t, other, 1))
	messages := consume(t, q, 1000)
	for range 20_000 - 1 {
		next(t, messages).Ack()
	}
	require.Less(t, median(func() time.Duration {
		began := time.Now()
		require.NoError(t, other.Publisher().Publish(topic, message.NewMessage("new", nil)))
		next(t, messages).Ack()
		return time.Since(began)
	}), soon)

	conn := raw(t, at)
	tx, err := conn.BeginTx(t.Context(), nil)
	require.NoError(t, err)
	_, err = tx.ExecContext(t.Context(), byHand, 1, "late", "{}", []byte{})
	require.NoError(t, err)
	publish(t, q, 1)
	next(t, messages).Ack() // the mark is beyond what is not committed yet
	require.NoError(t, tx.Commit())
	began := time.Now()
	m := next(t, messages)
	require.Equal(t, "late", m.UUID)
	m.Ack()
	exec(t, conn, `UPDATE queue_messages SET leased_until = 0`)
	m = next(t, messages)
	require.Equal(t, lost.UUID, m.UUID)
	m.Ack()
	require.Less(t, time.Since(began), 10*time.Second)
}

// Workers that are added share what waits.
func TestWorkers_EachTakesItsShare(t *testing.T) {
	const n, workers = 20_000, 2
	at := onPostgres(t)
	_, db := start(t, at, sqlqueue.Config{})
	fill(t, at, db, n)
	var (
		all   sync.WaitGroup
		mu    sync.Mutex
		times = map[string]int{}
		share [workers]int
		done  = make(chan struct{})
		begin sync.WaitGroup
	)
	begin.Add(workers)
	for i := range workers {
		q, _ := open(t, at, sqlqueue.Config{})
		messages := consume(t, q, 100)
		all.Go(func() {
			m := next(t, messages)
			begin.Done()
			begin.Wait() // each has one before any goes on
			for {
				mu.Lock()
				times[m.UUID]++
				share[i]++
				last := len(times) == n
				mu.Unlock()
				m.Ack()
				if last {
					close(done)
				}
				select {
				case m = <-messages:
				case <-done:
					return
				}
			}
		})
	}
	all.Wait()
	for id, count := range times {
		require.Equal(t, 1, count, id)
	}
	for _, got := range share {
		require.Greater(t, got, n/workers/3, "of %d: %v", n, share)
	}
}

// Twenty workers that start at once on an empty database all start.
func TestMigrate_TwentyAtOnce(t *testing.T) {
	at := onPostgres(t)
	subs := []transport.Subscription{feed, {Topic: topic, Handler: "leaderboard"}, {Topic: "question-added", Handler: "feed"}}
	var all sync.WaitGroup
	for i := range 20 {
		q, _ := open(t, at, sqlqueue.Config{})
		all.Go(func() {
			mine := append(append([]transport.Subscription{}, subs[i%3:]...), subs[:i%3]...)
			assert.NoError(t, q.Migrate(t.Context(), mine))
			assert.NoError(t, q.Check(t.Context(), mine))
		})
	}
	all.Wait()
}

// PostgreSQL cuts names to 63 bytes: what differs in the last byte of the
// longest prefix must still differ.
func TestPrefix_LongOnesDoNotCollide(t *testing.T) {
	at := onPostgres(t)
	long := strings.Repeat("p", 31)
	a, _ := start(t, at, sqlqueue.Config{Prefix: long + "a"})
	b, _ := start(t, at, sqlqueue.Config{Prefix: long + "b"})
	publish(t, a, 3)
	require.Equal(t, transport.Backlog{Ready: 3}, backlog(t, a))
	require.Equal(t, transport.Backlog{}, backlog(t, b))
	rows, err := raw(t, at).QueryContext(t.Context(), `SELECT relname FROM pg_class WHERE relname LIKE 'ppp%'`)
	require.NoError(t, err)
	defer rows.Close()
	names := 0
	for rows.Next() {
		var name string
		require.NoError(t, rows.Scan(&name))
		require.Less(t, len(name), 63, name)
		names++
	}
	require.NoError(t, rows.Err())
	require.GreaterOrEqual(t, names, 2*8)
	_, err = sqlqueue.New(nil, sqlqueue.Config{Prefix: `x"; DROP TABLE queues; --`})
	require.Error(t, err)
}

// What PostgreSQL cannot store fails alone, with a clear error.
func TestPublish_RefusesUUIDsThatCannotBeStored(t *testing.T) {
	q, _ := start(t, onPostgres(t), sqlqueue.Config{})
	messages := consume(t, q, 100)
	var all sync.WaitGroup
	for range 20 {
		all.Go(func() {
			for _, id := range []string{"a\x00b", "\xff"} {
				err := q.Publisher().Publish(topic, message.NewMessage(id, nil))
				require.ErrorContains(t, err, "UUID")
			}
			m := message.NewMessage("good", nil)
			m.Metadata = message.Metadata{"nul": "a\x00b", "invalid": "\xff"}
			assert.NoError(t, q.Publisher().Publish(topic, m))
		})
	}
	all.Wait()
	for range 20 {
		m := next(t, messages)
		require.Equal(t, message.Metadata{"nul": "a\x00b", "invalid": "\ufffd"}, m.Metadata)
		m.Ack()
	}
}

// After a large backlog the table and its indexes are small again, as soon as
// the message that stands at the end of the table is settled.
func TestHousekeeping_GivesRoomBack(t *testing.T) {
	at := onPostgres(t)
	q, db := start(t, at, sqlqueue.Config{})
	fill(t, at, db, 300_000)
	size := func() (bytes int64) {
		require.NoError(t, db.Read().QueryRowContext(t.Context(), `SELECT pg_total_relation_size('queue_messages')`).Scan(&bytes))
		return bytes
	}
	before := size()
	require.Greater(t, before, int64(100<<20))
	require.NoError(t, q.Tidy(t.Context()))
	require.GreaterOrEqual(t, size(), before, "while it is in use nothing is done")

	conn := raw(t, at)
	exec(t, conn, `DELETE FROM queue_messages WHERE id <= 299990`)
	messages := consume(t, q, 100)
	var held []*message.Message
	for range 10 {
		held = append(held, next(t, messages))
	}
	// Autovacuum may be at work on the table: then another time will do.
	eventually(t, func() bool { return q.Tidy(t.Context()) == nil })
	for _, m := range held {
		m.Ack()
	}
	eventually(t, func() bool { return backlog(t, q) == transport.Backlog{} })
	eventually(t, func() bool { return q.Tidy(t.Context()) == nil && size() < 4<<20 })
	publish(t, q, 1)
	next(t, messages).Ack()
}
