package sqlqueue_test

import (
	"context"
	"math"
	"syscall"
	"testing"
	"time"

	"github.com/ThreeDotsLabs/watermill/message"
	"github.com/stretchr/testify/require"

	"github.com/answerfeed/answerfeed/internal/memory"
	"github.com/answerfeed/answerfeed/internal/transport"
	"github.com/answerfeed/answerfeed/internal/transport/sqlqueue"
)

// A consumer with nothing to do must not spin, whatever it waits for.
func TestConsumer_IdlesWithoutWork(t *testing.T) {
	const lease, watch = 600 * time.Millisecond, 900 * time.Millisecond
	tests := map[string]func(t *testing.T, q *sqlqueue.Transport, at place){
		"nothing there": func(t *testing.T, q *sqlqueue.Transport, _ place) {
			consume(t, q, 10)
		},
		"a message in flight": func(t *testing.T, q *sqlqueue.Transport, _ place) {
			publish(t, q, 1)
			next(t, consume(t, q, 10))
		},
		"a message in flight, at-most-once": func(t *testing.T, q *sqlqueue.Transport, _ place) {
			publish(t, q, 1)
			sub, err := q.Subscriber(transport.Consumer{Subscription: feed, Window: 10, AtMostOnce: true})
			require.NoError(t, err)
			messages, err := sub.Subscribe(context.WithoutCancel(t.Context()), topic)
			require.NoError(t, err)
			next(t, messages)
		},
		"the window full, messages behind": func(t *testing.T, q *sqlqueue.Transport, _ place) {
			publish(t, q, 10)
			next(t, consume(t, q, 1))
		},
		"no memory for the message behind": func(t *testing.T, q *sqlqueue.Transport, _ place) {
			publish(t, q, 1)
			require.NoError(t, q.Publisher().Publish(topic, message.NewMessage("large", make([]byte, 1<<20))))
			budget := memory.NewBudget(1 << 20)
			sub, err := q.Subscriber(transport.Consumer{Subscription: feed, Window: 10, Memory: budget})
			require.NoError(t, err)
			messages, err := sub.Subscribe(context.WithoutCancel(t.Context()), topic)
			require.NoError(t, err)
			next(t, messages)
		},
		"all is delayed": func(t *testing.T, q *sqlqueue.Transport, _ place) {
			publish(t, q, 1)
			m := next(t, consume(t, q, 10))
			require.NoError(t, q.Redeliver(t.Context(), m, math.MaxInt64))
			m.Ack()
		},
		"due at the end of time, by hand": func(t *testing.T, q *sqlqueue.Transport, at place) {
			exec(t, raw(t, at), `INSERT INTO queue_messages (queue_id, due_at, enqueued_at, uuid, metadata, payload)
					SELECT id, $1, 0, 'x', '{}', 'x' FROM queues`, int64(math.MaxInt64))
			consume(t, q, 10)
		},
	}
	for name, prepare := range tests {
		t.Run(name, func(t *testing.T) {
			onBoth(t, func(t *testing.T, at place) {
				// Leases are due for extension, which costs what the payloads do,
				// every 200 ms.
				q, _ := start(t, at, sqlqueue.Config{Lease: lease})
				prepare(t, q, at)
				over := time.NewTimer(watch)
				before := cpu(t)
				<-over.C
				require.Less(t, cpu(t)-before, watch/4, "of processor time in %s", watch)
			})
		})
	}
}

// cpu is the processor time that the process has used.
func cpu(t testing.TB) time.Duration {
	t.Helper()
	var u syscall.Rusage
	require.NoError(t, syscall.Getrusage(syscall.RUSAGE_SELF, &u))
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}
