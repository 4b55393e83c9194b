package sqlqueue_test

import (
	"context"
	"slices"
	"testing"
	"time"

	"github.com/ThreeDotsLabs/watermill/message"
	"github.com/stretchr/testify/require"

	"github.com/answerfeed/answerfeed/internal/transport"
	"github.com/answerfeed/answerfeed/internal/transport/sqlqueue"
)

// soon is well over what a message takes that is noticed at once, and well
// below the second after which an idle queue is looked at anyway.
const soon = 400 * time.Millisecond

// median is that of five runs, so that one stall of the machine is no fault.
func median(run func() time.Duration) time.Duration {
	var took []time.Duration
	for range 5 {
		took = append(took, run())
	}
	slices.Sort(took)
	return took[len(took)/2]
}

func TestRedelivery_WakesTheIdleConsumerInTime(t *testing.T) {
	onBoth(t, func(t *testing.T, at place) {
		const delay = 50 * time.Millisecond
		q, _ := start(t, at, sqlqueue.Config{})
		messages := consume(t, q, 10)
		late := median(func() time.Duration {
			publish(t, q, 1)
			m := next(t, messages)
			began := time.Now()
			require.NoError(t, q.Redeliver(t.Context(), m, delay))
			m.Ack()
			m = next(t, messages)
			took := time.Since(began)
			require.GreaterOrEqual(t, took, delay)
			m.Ack()
			return took - delay
		})
		require.Less(t, late, soon)
	})
}

func TestNack_WakesTheIdleConsumerInTime(t *testing.T) {
	onBoth(t, func(t *testing.T, at place) {
		const pause = 50 * time.Millisecond
		q, _ := start(t, at, sqlqueue.Config{NackPause: pause})
		messages := consume(t, q, 10)
		late := median(func() time.Duration {
			publish(t, q, 1)
			m := next(t, messages)
			began := time.Now()
			m.Nack()
			m = next(t, messages)
			took := time.Since(began)
			require.GreaterOrEqual(t, took, pause)
			m.Ack()
			return took - pause
		})
		require.Less(t, late, soon)
	})
}

func TestReturnedMessage_WakesAnotherConsumerOfTheProcess(t *testing.T) {
	onBoth(t, func(t *testing.T, at place) {
		q, _ := start(t, at, sqlqueue.Config{Lease: long})
		closing, err := q.Subscriber(transport.Consumer{Subscription: feed, Window: 10})
		require.NoError(t, err)
		var heir <-chan *message.Message
		took := median(func() time.Duration {
			publish(t, q, 1)
			ctx, end := context.WithCancel(t.Context())
			messages, err := closing.Subscribe(ctx, topic)
			require.NoError(t, err)
			if heir == nil {
				next(t, messages)
				heir = consume(t, q, 10)
			} else {
				select {
				case <-messages:
				case m := <-heir: // it was quicker: its message goes back
					require.NoError(t, q.Redeliver(t.Context(), m, 0))
					m.Ack()
				}
			}
			began := time.Now()
			end()
			next(t, heir).Ack()
			return time.Since(began)
		})
		require.Less(t, took, soon)
	})
}

func TestDeadLetter_WakesItsReaderInTheProcess(t *testing.T) {
	onBoth(t, func(t *testing.T, at place) {
		q, _ := start(t, at, sqlqueue.Config{})
		messages := consume(t, q, 10)
		sub, err := q.Subscriber(transport.Consumer{Subscription: feed, Window: 10, Dead: true})
		require.NoError(t, err)
		letters, err := sub.Subscribe(context.WithoutCancel(t.Context()), topic)
		require.NoError(t, err)
		require.Less(t, median(func() time.Duration {
			publish(t, q, 1)
			m := next(t, messages)
			began := time.Now()
			require.NoError(t, q.DeadLetter(t.Context(), m))
			m.Ack()
			next(t, letters).Ack()
			return time.Since(began)
		}), soon)
	})
}

// A message that is larger than all that a window may hold comes alone.
func TestWindow_GiantMessageComesAlone(t *testing.T) {
	onBoth(t, func(t *testing.T, at place) {
		q, _ := start(t, at, sqlqueue.Config{})
		giant := message.NewMessage("giant", make([]byte, 65<<20))
		require.NoError(t, q.Publisher().Publish(topic, giant))
		publish(t, q, 1)
		messages := consume(t, q, 1000)
		m := next(t, messages)
		require.Equal(t, "giant", m.UUID)
		require.Equal(t, transport.Backlog{Ready: 1, InFlight: 1}, backlog(t, q))
		publish(t, q, 1)
		m.Ack()
		next(t, messages).Ack()
		next(t, messages).Ack()
		eventually(t, func() bool { return backlog(t, q) == transport.Backlog{} })
	})
}

// The bound holds with messages of 1 MiB, the largest that events may be.
func TestWindow_64MessagesOf1MiB(t *testing.T) {
	onBoth(t, func(t *testing.T, at place) {
		q, _ := start(t, at, sqlqueue.Config{})
		for range 20 {
			msgs := make([]*message.Message, 4)
			for i := range msgs {
				msgs[i] = message.NewMessage("x", make([]byte, 1<<20))
			}
			require.NoError(t, q.Publisher().Publish(topic, msgs...))
		}
		messages := consume(t, q, 1000)
		var held []*message.Message
		for range 64 {
			held = append(held, next(t, messages))
		}
		require.Equal(t, transport.Backlog{Ready: 16, InFlight: 64}, backlog(t, q))
		for _, m := range held[:16] {
			m.Ack()
			held = append(held, next(t, messages))
			require.LessOrEqual(t, backlog(t, q).InFlight, int64(64))
		}
		for _, m := range held[16:] {
			m.Ack()
		}
		eventually(t, func() bool { return backlog(t, q) == transport.Backlog{} })
	})
}

// The clock of SQLite goes by milliseconds.
func TestNack_NeverComesBackEarly(t *testing.T) {
	onBoth(t, func(t *testing.T, at place) {
		const pause = 3 * time.Millisecond
		q, _ := start(t, at, sqlqueue.Config{NackPause: pause})
		publish(t, q, 1)
		messages := consume(t, q, 1)
		m := next(t, messages)
		for range 300 {
			began := time.Now()
			m.Nack()
			m = next(t, messages)
			require.GreaterOrEqual(t, time.Since(began), pause)
		}
	})
}
