package failures

import (
	"context"
	"crypto/rand"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/ThreeDotsLabs/watermill/message"
	"github.com/stretchr/testify/require"

	"github.com/answerfeed/answerfeed/app/failure"
	"github.com/answerfeed/answerfeed/config"
	"github.com/answerfeed/answerfeed/handlers"
)

// A message that can neither be handled nor put on the desk stays where it is
// and is tried again after a pause, never in a hot loop, until it can.
func TestDeadQueueUnavailable(t *testing.T) {
	t.Parallel()
	onEach(t, func(t *testing.T, p place) {
		made := &attempts{}
		all := []handlers.Handler{made.failing("refuser", payloadOf("refuser"), always(failure.Permanent("refused", errBoom)))}
		client := p.open(t, all)
		p, withhold, restore := p.withoutDeadQueue(t, "refuser")
		begin := time.Now()
		w := p.run(t, all)
		withhold()
		require.NoError(t, client.Publisher().Publish(tried, newMessage(t, "refuser"), newMessage(t, "another")))
		const tries = 4
		eventually(t, "it is tried again and again", func() bool { return len(made.of("refuser", payloadOf("refuser"))) >= tries })
		all4 := made.of("refuser", payloadOf("refuser"))
		for i := 1; i < tries; i++ {
			require.GreaterOrEqual(t, all4[i].Sub(all4[i-1]), 900*time.Millisecond, "no hot loop")
		}
		db := p.reader(t)
		require.Zero(t, ask[int](t, db, countLetters))
		restore()
		eventually(t, "it is a letter", func() bool { return ask[int](t, db, countLetters) == 1 })
		w.stop(t)
		requireEmpty(t, client)
		require.Len(t, made.of("refuser", payloadOf("another")), 1, "its neighbour")
		outcomes := w.deliveries(t, "refuser")
		require.Equal(t, 1, outcomes["dead-letter"])
		require.Equal(t, 1, outcomes["handled"])
		require.Equal(t, len(made.of("refuser", payloadOf("refuser"))), outcomes["returned"]+1)
		l := p.letters(t)[0]
		require.Equal(t, "refused", l.Reason)
		require.Equal(t, payloadOf("refuser"), string(l.Payload))
		require.False(t, l.FirstFailedAt.Before(begin.Truncate(time.Microsecond)))
	})
}

// withoutDeadQueue is the place for a worker that cannot put anything into the
// handler's dead queue from withhold to restore.
func (p place) withoutDeadQueue(t *testing.T, handler string) (_ place, withhold, restore func()) {
	t.Helper()
	if p.amqp() {
		// Moving a message to a queue is publishing to the exchange that leads to
		// queues by name. A channel remembers what it may do.
		user := strings.ToLower(rand.Text()[:10])
		ctl := func(args ...string) {
			_, err := broker.get(t).Ctl(context.WithoutCancel(t.Context()), args...)
			require.NoError(t, err)
		}
		ctl("add_user", user, "test")
		restore = func() { ctl("set_permissions", "-p", "/", user, ".*", ".*", ".*") }
		restore()
		url := strings.Replace(p.settings["transport.amqp.url"], "guest:guest@", user+":test@", 1)
		return p.with(map[string]string{"transport.amqp.url": url}), func() {
			ctl("set_permissions", "-p", "/", user, ".*", `^(?!.*answerfeed\.queues$)`, ".*")
			ctl("close_all_user_connections", user, "its rights were changed")
		}, restore
	}
	set := func(query string) {
		_, err := p.reader(t).ExecContext(context.WithoutCancel(t.Context()), query)
		require.NoError(t, err)
	}
	return p, func() {
			set(`UPDATE queues SET topic = 'away-' || topic WHERE dead = 1 AND handler = '` + handler + `'`)
		}, func() {
			set(`UPDATE queues SET topic = '` + tried + `' WHERE dead = 1 AND handler = '` + handler + `'`)
		}
}

// A worker that stops in the middle of an attempt, or of the pause after one,
// gives the message back: it spends no attempt of the next worker's, and none
// is a letter.
func TestShutdownInTheMiddle(t *testing.T) {
	t.Parallel()
	onEach(t, func(t *testing.T, p place) {
		var second atomic.Bool
		made := &attempts{}
		begun := make(chan struct{}, 10)
		all := []handlers.Handler{
			// It goes on until its context ends, which is not before the grace is over.
			made.failing("working", payloadOf("working"), func(ctx context.Context, _ int) error {
				begun <- struct{}{}
				if second.Load() {
					return failure.Permanent("refused", errBoom)
				}
				<-ctx.Done()
				return ctx.Err()
			}),
			// It fails for the moment, and the pause after that is long.
			made.failing("pausing", payloadOf("pausing"), func(context.Context, int) error {
				begun <- struct{}{}
				if second.Load() {
					return failure.Permanent("refused", errBoom)
				}
				return failure.Transient(errBoom)
			}),
			// Another of the same topic, which sees it once.
			made.failing("well", payloadOf("well"), always(nil)),
		}
		long := func(h *config.Handler) {
			h.Timeout, h.Retry = time.Minute, config.Retry{Attempts: 2, Backoff: time.Minute}
		}
		changes := []func(*config.Config){handler("working", long), handler("pausing", long)}
		client := p.open(t, all, changes...)
		w := p.run(t, all, changes...)
		require.NoError(t, client.Publisher().Publish(tried, newMessage(t, "working"), newMessage(t, "pausing")))
		<-begun
		<-begun
		eventually(t, "the first failure is noted", func() bool { return len(w.failed(t, "pausing")) > 0 })
		took := w.stop(t)
		require.Greater(t, took, 19*time.Second, "the grace of what still works")
		require.Equal(t, 1, w.deliveries(t, "working")["returned"])
		require.Equal(t, 1, w.deliveries(t, "pausing")["returned"])
		db := p.reader(t)
		require.Zero(t, ask[int](t, db, countLetters))

		second.Store(true)
		w = p.run(t, all, changes...)
		eventually(t, "both are letters", func() bool { return ask[int](t, db, countLetters) == 2 })
		w.stop(t)
		requireEmpty(t, client)
		for _, l := range p.letters(t) {
			require.Equal(t, 1, l.Attempts, "%s: none was spent by the worker that stopped", l.Handler)
			require.Equal(t, "refused", l.Reason)
			require.Len(t, made.of(l.Handler, payloadOf(l.Handler)), 2, l.Handler)
			require.Len(t, made.of("well", payloadOf(l.Handler)), 1, "another handler")
		}
	})
}

// numbered makes n messages with that payload.
func numbered(prefix string, n int, payload string) []*message.Message {
	var msgs []*message.Message
	for i := range n {
		msgs = append(msgs, message.NewMessage(prefix+"-"+pad(i), []byte(payload)))
	}
	return msgs
}
