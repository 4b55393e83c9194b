package sqlqueue_test

import (
	"context"
	"database/sql"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/ThreeDotsLabs/watermill/message"
	"github.com/stretchr/testify/require"

	"github.com/answerfeed/answerfeed/app/database"
	"github.com/answerfeed/answerfeed/internal/transport"
	"github.com/answerfeed/answerfeed/internal/transport/sqlqueue"
)

// lock takes the write lock of the file or table, as another program may, until unlock.
func lock(t testing.TB, at place) (unlock func()) {
	t.Helper()
	conn := raw(t, at)
	if at.onSQLite() {
		exec(t, conn, "BEGIN EXCLUSIVE")
	} else {
		exec(t, conn, "BEGIN")
		exec(t, conn, "LOCK TABLE queue_messages IN EXCLUSIVE MODE")
	}
	return sync.OnceFunc(func() { exec(t, conn, "ROLLBACK") })
}

func TestLocked_SettlementsWaitAndAreKept(t *testing.T) {
	onBoth(t, func(t *testing.T, at place) {
		q, _ := start(t, at, sqlqueue.Config{NackPause: long})
		publish(t, q, 100)
		messages := consume(t, q, 100)
		var held []*message.Message
		for range 100 {
			held = append(held, next(t, messages))
		}
		unlock := lock(t, at)
		for _, m := range held[:98] {
			m.Ack()
		}
		held[98].Nack()
		moved := make(chan error)
		go func() { moved <- q.Redeliver(context.Background(), held[99], long) }()
		require.Equal(t, transport.Backlog{InFlight: 100}, backlog(t, q))
		unlock()
		require.NoError(t, <-moved)
		eventually(t, func() bool { return backlog(t, q) == transport.Backlog{Delayed: 2} })
	})
}

// A round that fails whole is repeated whole: nothing of it is lost, and
// nothing is settled twice.
func TestFailedRound_IsRepeated(t *testing.T) {
	onBoth(t, func(t *testing.T, at place) {
		q, _ := start(t, at, sqlqueue.Config{})
		publish(t, q, 50)
		messages := consume(t, q, 50)
		var held []*message.Message
		for range 50 {
			held = append(held, next(t, messages))
		}
		conn := raw(t, at)
		create, drop := `CREATE TRIGGER refuse BEFORE DELETE ON queue_messages BEGIN SELECT RAISE(ABORT, 'refused'); END`, `DROP TRIGGER refuse`
		if !at.onSQLite() {
			exec(t, conn, `CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE 'refused'; END $$`)
			create, drop = `CREATE TRIGGER refuse BEFORE DELETE ON queue_messages EXECUTE FUNCTION refuse()`, `DROP TRIGGER refuse ON queue_messages`
		}
		exec(t, conn, create)
		moved := make(chan error)
		go func() { moved <- q.Redeliver(context.Background(), held[0], long) }()
		for _, m := range held[1:] {
			m.Ack()
		}
		// The redelivery may share the failing round or be before it.
		exec(t, conn, drop)
		require.NoError(t, <-moved)
		eventually(t, func() bool { return backlog(t, q) == transport.Backlog{Delayed: 1} })
	})
}

// A handler that moves its message while the worker closes gets an answer,
// even if the database does not give one.
func TestLocked_CloseEndsAndAnswersMoves(t *testing.T) {
	onBoth(t, func(t *testing.T, at place) {
		t.Parallel() // it waits for a while
		q, _ := start(t, at, sqlqueue.Config{})
		publish(t, q, 2)
		sub, err := q.Subscriber(transport.Consumer{Subscription: feed, Window: 2})
		require.NoError(t, err)
		messages, err := sub.Subscribe(t.Context(), topic)
		require.NoError(t, err)
		first, second := next(t, messages), next(t, messages)
		lock(t, at)
		moved := make(chan error, 2)
		go func() { moved <- q.Redeliver(context.Background(), first, 0) }()
		go func() { moved <- q.DeadLetter(context.Background(), second) }()
		began := time.Now()
		require.NoError(t, sub.Close())
		require.Less(t, time.Since(began), 25*time.Second)
		for range 2 {
			select {
			case err := <-moved:
				require.Error(t, err)
			case <-time.After(patience):
				require.Fail(t, "a move was left without an answer")
			}
		}
	})
}

func TestLocked_PublishEndsWithItsContext(t *testing.T) {
	onBoth(t, func(t *testing.T, at place) {
		q, _ := start(t, at, sqlqueue.Config{})
		unlock := lock(t, at)
		ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
		defer cancel()
		var all sync.WaitGroup
		for range 20 {
			all.Go(func() {
				m := message.NewMessage("x", nil)
				m.SetContext(ctx)
				require.ErrorIs(t, q.Publisher().Publish(topic, m), context.DeadlineExceeded)
				m.Metadata.Set("it is", "the caller's again")
			})
		}
		all.Wait()
		unlock()
		publish(t, q, 1)
	})
}

// Another process that writes without end, in short transactions, slows the
// flow and does not stop it.
func TestBusyWriter_DoesNotStopTheFlow(t *testing.T) {
	onBoth(t, func(t *testing.T, at place) {
		const n = 2000
		q, _ := start(t, at, sqlqueue.Config{})
		_, rival := open(t, at, sqlqueue.Config{})
		require.NoError(t, rival.Update(t.Context(), database.Relaxed, func(ctx context.Context, tx *sql.Tx) error {
			_, err := tx.ExecContext(ctx, `CREATE TABLE work (n INTEGER)`)
			return err
		}))
		ctx, stop := context.WithCancel(t.Context())
		var busy sync.WaitGroup
		commits := 0
		busy.Go(func() {
			for ctx.Err() == nil {
				err := rival.Update(ctx, database.Relaxed, func(ctx context.Context, tx *sql.Tx) error {
					_, err := tx.ExecContext(ctx, `WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i+1 FROM n WHERE i < 200) INSERT INTO work SELECT i FROM n`)
					return err
				})
				if err == nil {
					commits++
				} else if ctx.Err() == nil {
					t.Error(fmt.Errorf("the rival: %w", err))
					return
				}
			}
		})
		began := time.Now()
		publish(t, q, n)
		messages := consume(t, q, 100)
		for range n {
			next(t, messages).Ack()
		}
		eventually(t, func() bool { return backlog(t, q) == transport.Backlog{} })
		stop()
		busy.Wait()
		t.Logf("%d messages in %s beside %d commits of another process", n, time.Since(began), commits)
		require.Positive(t, commits)
	})
}
