package sqlqueue_test

import (
	"bytes"
	"context"
	"database/sql"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/ThreeDotsLabs/watermill/message"
	"github.com/stretchr/testify/require"

	"github.com/answerfeed/answerfeed/internal/testserver"
	"github.com/answerfeed/answerfeed/internal/transport"
	"github.com/answerfeed/answerfeed/internal/transport/sqlqueue"
)

// newest is a PostgreSQL 18 for the tests that ask for it.
type newest struct {
	once   sync.Once
	server *testserver.Postgres
	err    error
}

var postgres18 newest

func (n *newest) get(t testing.TB) *testserver.Postgres {
	t.Helper()
	n.once.Do(func() {
		n.server, n.err = testserver.StartPostgresOf(context.Background(), testserver.Sid, "fsync = off")
	})
	require.NoError(t, n.err)
	return n.server
}

func (n *newest) stop() error {
	if n.server == nil {
		return nil
	}
	return n.server.Stop()
}

// onAll runs a test on SQLite and on the oldest and newest PostgreSQL there is.
func onAll(t *testing.T, test func(t *testing.T, at place)) {
	t.Helper()
	onBoth(t, test)
	t.Run("postgres 18", func(t *testing.T) { test(t, databaseOn(t, postgres18.get(t))) })
}

// lines takes log lines from many goroutines.
type lines struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *lines) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *lines) count(text string) int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return strings.Count(l.b.String(), text)
}

func (l *lines) logger() *slog.Logger { return slog.New(slog.NewTextHandler(l, nil)) }

// empty removes all rows; ids come again.
func empty(at place, tables ...string) string {
	if at.onSQLite() {
		return "DELETE FROM " + strings.Join(tables, "; DELETE FROM ") + "; DELETE FROM sqlite_sequence"
	}
	return "TRUNCATE " + strings.Join(tables, ", ") + " RESTART IDENTITY"
}

// publishSoon publishes to a queue that may not be there for a moment.
func publishSoon(t *testing.T, q *sqlqueue.Transport, topic, id string) {
	t.Helper()
	eventually(t, func() bool { return q.Publisher().Publish(topic, message.NewMessage(id, []byte("{}"))) == nil })
}

// Whatever becomes of the tables under a consumer, it goes on with what is
// there, and takes no other handler's messages.
func TestConsumer_QueueChangedUnderfoot_IsReadAgain(t *testing.T) {
	const other = "question-added"
	remake := func(t *testing.T, at place) {
		q, _ := open(t, at, sqlqueue.Config{})
		require.NoError(t, q.Migrate(t.Context(), []transport.Subscription{{Topic: other, Handler: "feed"}, feed}))
	}
	all := []string{"queues", "queue_messages", "queue_readers", "queue_clock", "queue_seen"}
	tests := map[string]struct {
		change func(t *testing.T, at place, conn *sql.Conn)
		keeps  bool // what waited
		// The consumer may notice the deletion before the row is made anew, and
		// then makes the row itself, with the id that keeps what waited.
		mayKeep bool
	}{
		"its row is deleted": {keeps: true, change: func(t *testing.T, _ place, conn *sql.Conn) { exec(t, conn, `DELETE FROM queues`) }},
		"its row is made anew": {mayKeep: true, change: func(t *testing.T, at place, conn *sql.Conn) {
			exec(t, conn, `DELETE FROM queues`)
			remake(t, at)
		}},
		"its row has another id": {keeps: true, change: func(t *testing.T, _ place, conn *sql.Conn) {
			exec(t, conn, `UPDATE queue_messages SET queue_id = queue_id + 1000`)
			exec(t, conn, `CREATE TABLE copied AS SELECT id + 1000 AS id, name, topic, handler, dead FROM queues`)
			exec(t, conn, `DELETE FROM queues`)
			overriding := " OVERRIDING SYSTEM VALUE"
			if _, err := conn.ExecContext(t.Context(), `SELECT pg_backend_pid()`); err != nil {
				overriding = ""
			}
			exec(t, conn, `INSERT INTO queues (id, name, topic, handler, dead)`+overriding+` SELECT * FROM copied`)
		}},
		"all is emptied": {change: func(t *testing.T, at place, conn *sql.Conn) { exec(t, conn, empty(at, all...)) }},
		"all is emptied, and its id is another's": {change: func(t *testing.T, at place, conn *sql.Conn) {
			exec(t, conn, empty(at, all...))
			remake(t, at)
		}},
		"the tables are dropped and made anew": {change: func(t *testing.T, at place, conn *sql.Conn) {
			for _, table := range append([]string{"queue_schema", "queue_schema_needs"}, all...) {
				exec(t, conn, `DROP TABLE `+table)
			}
			remake(t, at)
		}},
		"the messages are emptied": {change: func(t *testing.T, at place, conn *sql.Conn) { exec(t, conn, empty(at, "queue_messages")) }},
		"the messages are older than all before": {keeps: true, change: func(t *testing.T, _ place, conn *sql.Conn) {
			exec(t, conn, `UPDATE queue_messages SET due_at = 1`)
		}},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			onAll(t, func(t *testing.T, at place) {
				q, _ := start(t, at, sqlqueue.Config{Logger: (&lines{}).logger()})
				messages := consume(t, q, 1)
				publishSoon(t, q, topic, "first")
				first := next(t, messages)
				publishSoon(t, q, topic, "waiting")
				test.change(t, at, raw(t, at))
				first.Ack()
				if test.keeps {
					m := next(t, messages)
					require.Equal(t, "waiting", m.UUID)
					m.Ack()
				}
				// To the other handler first, whose messages are not ours.
				_ = q.Publisher().Publish(other, message.NewMessage("other", []byte("{}")))
				publishSoon(t, q, topic, "afterwards")
				m := next(t, messages)
				if test.mayKeep && m.UUID == "waiting" {
					m.Ack()
					m = next(t, messages)
				}
				require.Equal(t, "afterwards", m.UUID)
				m.Ack()
			})
		})
	}
}

// A queue that was deleted is told of in one line.
func TestConsumer_QueueDeleted_IsSaidOnce(t *testing.T) {
	onBoth(t, func(t *testing.T, at place) {
		log := &lines{}
		q, _ := start(t, at, sqlqueue.Config{Logger: log.logger()})
		messages := consume(t, q, 1)
		exec(t, raw(t, at), `DELETE FROM queues`)
		publishSoon(t, q, topic, "a")
		next(t, messages).Ack()
		require.Equal(t, 1, log.count("a queue was deleted while it was read"))
		require.Zero(t, log.count("made anew by others"))
	})
}

// A queue that is being pruned stays pruned, and the consumer gets a new one.
func TestPrune_UnderARunningConsumer_WhatComesLaterIsDelivered(t *testing.T) {
	onAll(t, func(t *testing.T, at place) {
		q, _ := start(t, at, sqlqueue.Config{})
		messages := consume(t, q, 1)
		publishSoon(t, q, topic, "first")
		first := next(t, messages)
		publish(t, q, 2000)
		_, err := q.Prune(t.Context(), "feed")
		require.NoError(t, err)
		first.Ack()
		publishSoon(t, q, topic, "afterwards")
		m := next(t, messages)
		require.Equal(t, "afterwards", m.UUID)
		m.Ack()
		eventually(t, func() bool { return backlog(t, q) == transport.Backlog{} })
		var left int
		require.NoError(t, raw(t, at).QueryRowContext(t.Context(), `SELECT count(*) FROM queues`).Scan(&left))
		require.Equal(t, 2, left)
	})
}

func TestReaders_AreThoseThatRun(t *testing.T) {
	onBoth(t, func(t *testing.T, at place) {
		q, _ := start(t, at, sqlqueue.Config{})
		require.NoError(t, q.Migrate(t.Context(), []transport.Subscription{{Topic: topic, Handler: "other"}}))
		readers := func(handler string) int {
			n, err := q.Readers(t.Context(), handler)
			require.NoError(t, err)
			return n
		}
		require.Zero(t, readers("feed"))
		var workers []*sqlqueue.Transport
		for n := range 2 {
			worker, _ := open(t, at, sqlqueue.Config{})
			consume(t, worker, 1)
			eventually(t, func() bool { return readers("feed") == n+1 })
			workers = append(workers, worker)
		}
		require.Zero(t, readers("other"))
		for n, worker := range workers {
			require.NoError(t, worker.Close())
			require.Equal(t, 1-n, readers("feed"), "a worker that was closed reads nothing")
		}
	})
}

// A worker of an older version says nothing, but holds messages.
func TestReaders_CountWhoHoldsMessages(t *testing.T) {
	onBoth(t, func(t *testing.T, at place) {
		q, _ := start(t, at, sqlqueue.Config{})
		publish(t, q, 1)
		next(t, consume(t, q, 1))
		exec(t, raw(t, at), `DELETE FROM queue_readers`)
		n, err := q.Readers(t.Context(), "feed")
		require.NoError(t, err)
		require.Equal(t, 1, n)
	})
}

// leaveAhead is what workers leave behind when their database's clock was
// ahead and goes back: every time is that much in the future.
func leaveAhead(t *testing.T, conn *sql.Conn, at place, by time.Duration) {
	t.Helper()
	exec(t, conn, `UPDATE queue_messages SET due_at = due_at + $1, enqueued_at = enqueued_at + $1`, by.Microseconds())
	exec(t, conn, `UPDATE queue_seen SET at = at + $1`, by.Microseconds())
	exec(t, conn, `UPDATE queue_readers SET until = until + $1`, by.Microseconds())
	if !at.onSQLite() {
		exec(t, conn, `UPDATE queue_messages SET leased_until = leased_until + $1 WHERE leased_until > 0`, by.Microseconds())
	}
}

// A clock that goes back 40 days holds nothing for 40 days: neither what is
// due, nor what is delayed, nor what a worker that died had claimed.
func TestClock_GoesBack_NothingWaitsForTheDifference(t *testing.T) {
	for name, running := range map[string]bool{"while no worker runs": false, "under a running worker": true} {
		t.Run(name, func(t *testing.T) {
			onAll(t, func(t *testing.T, at place) {
				log := &lines{}
				first, _ := start(t, at, sqlqueue.Config{Lease: time.Second})
				messages := consume(t, first, 1)
				publishSoon(t, first, topic, "delayed")
				m := next(t, messages)
				require.NoError(t, first.Redeliver(t.Context(), m, 2*time.Second))
				m.Ack()
				publishSoon(t, first, topic, "claimed")
				next(t, messages)
				publishSoon(t, first, topic, "due")
				conn := raw(t, at)
				if !running {
					require.NoError(t, first.Close())
				}
				second, _ := open(t, at, sqlqueue.Config{Lease: time.Second, Logger: log.logger()})
				if running {
					publishSoon(t, second, topic, "taken")
					consume(t, second, 1)
					eventually(t, func() bool { n, err := second.Readers(t.Context(), "feed"); return err == nil && n == 2 })
					require.NoError(t, first.Close())
				}
				leaveAhead(t, conn, at, 40*24*time.Hour)
				began := time.Now()
				missing := map[string]bool{"delayed": true, "claimed": true, "due": true}
				if running {
					missing["taken"] = true
				}
				third := consume(t, second, 10)
				for len(missing) > 0 {
					m := next(t, third)
					delete(missing, m.UUID)
					m.Ack()
					if running && len(missing) == 1 { // the one that the second has in its window
						break
					}
				}
				require.Less(t, time.Since(began), 30*time.Second)
				require.Equal(t, 1, log.count("the database's clock went back"))
				require.Zero(t, log.count("leapt ahead"), "one line is enough")
				publishSoon(t, second, topic, "afterwards")
				require.Equal(t, "afterwards", next(t, third).UUID)
			})
		})
	}
}

// Of several workers that see the clock go back, one corrects it.
func TestClock_GoesBack_IsCorrectedOnce(t *testing.T) {
	onAll(t, func(t *testing.T, at place) {
		first, _ := start(t, at, sqlqueue.Config{})
		consume(t, first, 1)
		conn := raw(t, at)
		eventually(t, func() bool { n, err := first.Readers(t.Context(), "feed"); return err == nil && n == 1 })
		log := &lines{}
		for range 4 {
			q, _ := open(t, at, sqlqueue.Config{Logger: log.logger()})
			consume(t, q, 1)
		}
		leaveAhead(t, conn, at, time.Hour)
		var shift int64
		eventually(t, func() bool {
			require.NoError(t, conn.QueryRowContext(t.Context(), `SELECT shift FROM queue_clock`).Scan(&shift))
			return shift > 0
		})
		exec(t, conn, `DELETE FROM queue_readers`)
		eventually(t, func() bool { n, err := first.Readers(t.Context(), "feed"); return err == nil && n == 5 }) // each has looked again
		require.NoError(t, conn.QueryRowContext(t.Context(), `SELECT shift FROM queue_clock`).Scan(&shift))
		require.InDelta(t, time.Hour.Seconds(), (time.Duration(shift) * time.Microsecond).Seconds(), 20)
	})
}
