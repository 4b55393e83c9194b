package failures

import (
	"context"
	"fmt"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"github.com/ThreeDotsLabs/watermill/message"
	"github.com/stretchr/testify/require"

	"github.com/answerfeed/answerfeed/app/failure"
	"github.com/answerfeed/answerfeed/handlers"
	"github.com/answerfeed/answerfeed/internal/testkit"
)

func pad(i int) string { return fmt.Sprintf("%06d", i) }

// picky is a handler that counts what it handles, and fails over payloads by
// their text.
func picky(handled *atomic.Int64) handlers.Handler {
	return recorder(func(_ context.Context, payload []byte) error {
		switch string(payload) {
		case "poison":
			return failure.Permanent("poison", errBoom)
		case "ill":
			return failure.Transient(errBoom)
		}
		handled.Add(1)
		return nil
	})
}

// Half of a flood is poison: each is on the desk, each of the others takes
// effect, and nothing is delivered more often than once, by the worker's count
// and by what the broker sent.
func TestFlood(t *testing.T) {
	t.Parallel()
	const n = 50_000 / testkit.Share
	onEach(t, func(t *testing.T, p place) {
		var handled atomic.Int64
		all := []handlers.Handler{picky(&handled)}
		client := p.open(t, all)
		publishAll(t, client.Publisher(), mixed(n, "poison"))
		behind, wire := p.tapped(t)
		w := behind.run(t, all)
		db := p.reader(t)
		eventually(t, "each is handled or a letter", func() bool {
			return handled.Load() >= n/2 && ask[int](t, db, countLetters) >= n/2
		})
		eventually(t, "all is settled", func() bool { return w.deliveries(t, "recorder")["handled"] >= n/2 })
		w.stop(t)
		require.Equal(t, map[string]int{"handled": n / 2, "dead-letter": n / 2}, w.deliveries(t, "recorder"), "deliveries")
		wire.requireDelivered(t, p, n, n/2)
		require.Equal(t, map[string]int{"poison": n / 2}, w.failed(t, "recorder"))
		requireEmpty(t, client)
		requireEffects(t, db, n/2)
		require.Equal(t, n/2, ask[int](t, db, countLetters))
		require.Equal(t, n/2, ask[int](t, db, `SELECT count(DISTINCT identity) FROM dead_letters WHERE reason = 'poison' AND attempts = 1`))
	})
}

// Half of a flood fails each time, and is redelivered twice before it is given
// up: so often is it delivered, and not once more.
func TestFlood_OnSchedule(t *testing.T) {
	t.Parallel()
	const n, redeliveries = 10_000 / testkit.Share, 2
	onEach(t, func(t *testing.T, p place) {
		var handled atomic.Int64
		all := []handlers.Handler{picky(&handled)}
		twice := handler("recorder", retries(1, time.Second, time.Second))
		client := p.open(t, all, twice)
		publishAll(t, client.Publisher(), mixed(n, "ill"))
		behind, wire := p.tapped(t)
		w := behind.run(t, all, twice)
		db := p.reader(t)
		eventually(t, "each is handled or a letter", func() bool {
			return handled.Load() >= n/2 && ask[int](t, db, countLetters) >= n/2
		})
		eventually(t, "all is settled", func() bool { return w.deliveries(t, "recorder")["handled"] >= n/2 })
		w.stop(t)
		require.Equal(t, map[string]int{"handled": n / 2, "redelivered": redeliveries * n / 2, "dead-letter": n / 2}, w.deliveries(t, "recorder"), "deliveries")
		wire.requireDelivered(t, p, n+redeliveries*n/2, n/2)
		requireEmpty(t, client)
		requireEffects(t, db, n/2)
		require.Equal(t, n/2, ask[int](t, db, countLetters))
	})
}

// While 10,000 messages wait for their redelivery, others come through a window
// of 100.
func TestRedeliveriesHoldNoPlace(t *testing.T) {
	t.Parallel()
	const waiting, healthy = 10_000 / testkit.Share, 10_000 / testkit.Share
	onEach(t, func(t *testing.T, p place) {
		var handled atomic.Int64
		all := []handlers.Handler{picky(&handled)}
		small := handler("recorder", also(retries(1, time.Hour), window100))
		client := p.open(t, all, small)
		publishAll(t, client.Publisher(), numbered("ill", waiting, "ill"))
		behind, wire := p.tapped(t)
		w := behind.run(t, all, small)
		eventually(t, "all wait", func() bool { return w.deliveries(t, "recorder")["redelivered"] >= waiting })
		publishAll(t, client.Publisher(), numbered("healthy", healthy, "healthy"))
		eventually(t, "the others pass", func() bool { return w.deliveries(t, "recorder")["handled"] >= healthy })
		backlog, err := client.Backlog(t.Context())
		require.NoError(t, err)
		require.Len(t, backlog, 1)
		require.EqualValues(t, waiting, backlog[0].Delayed)
		w.stop(t)
		require.Equal(t, map[string]int{"handled": healthy, "redelivered": waiting}, w.deliveries(t, "recorder"), "deliveries")
		wire.requireDelivered(t, p, waiting+healthy, 0)
		requireEffects(t, p.reader(t), healthy)
		require.Zero(t, ask[int](t, p.reader(t), countLetters))
	})
}

// mixed is n messages, of which every second has that payload.
func mixed(n int, payload string) []*message.Message {
	a, b := numbered("bad", n/2, payload), numbered("healthy", n/2, "healthy")
	var msgs []*message.Message
	for i := range a {
		msgs = append(msgs, a[i], b[i])
	}
	return msgs
}

func publishAll(t testing.TB, publisher message.Publisher, msgs []*message.Message) {
	t.Helper()
	for chunk := range slices.Chunk(msgs, 1000) {
		require.NoError(t, publisher.Publish(tried, chunk...))
	}
}
