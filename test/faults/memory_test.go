package faults

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/ThreeDotsLabs/watermill/message"
	"github.com/stretchr/testify/require"

	"github.com/answerfeed/answerfeed/app"
	"github.com/answerfeed/answerfeed/app/event"
	"github.com/answerfeed/answerfeed/internal/producer"
)

// container is the memory, in MiB, of the container that the worker must fit
// into with its default limit: 200 MB.
const container = 200e6 / (1 << 20)

// What waits is as large as it may be, and as many messages may be in flight as
// can be configured: the process stays within its limit, and handles all.
func TestMemory_StaysWithinTheLimit(t *testing.T) {
	onEach(t, func(t *testing.T, p place) {
		p = p.with(settings{"handlers.feed.concurrency": "100000", "handlers.leaderboard.concurrency": "100000"})
		stayWithin(t, p, 400, 1<<20-300)
	})
	t.Run("a backlog of small ones", func(t *testing.T) {
		t.Parallel()
		stayWithin(t, onSQLite(t), 105_000, 0)
	})
}

// stayWithin publishes n answers with so many bytes beside, and lets a worker
// handle them.
func stayWithin(t *testing.T, p place, n, beside int) {
	t.Helper()
	client := p.open(t)
	filling := strings.Repeat("x", beside)
	const batch = 500
	for begin := 0; begin < n; begin += batch {
		var msgs []*message.Message
		for i := begin; i < min(n, begin+batch); i++ {
			payload := fmt.Appendf(nil, `{"answer_id":"a%d","question_id":"q%d","author_id":"u%d","excerpt":%q,"occurred_at":"2026-01-02T03:04:05Z","filling":%q}`,
				i, i%2000, i%500, "Short waves scatter more than long ones, and so the sky is blue. ", filling)
			require.LessOrEqual(t, len(payload), event.MaxPayload)
			msgs = append(msgs, producer.EventMessage(payload))
			if beside > 0 || len(msgs) == batch {
				require.NoError(t, client.Publisher().Publish(event.TopicAnswerAdded, msgs...))
				msgs = nil
			}
		}
		if len(msgs) > 0 {
			require.NoError(t, client.Publisher().Publish(event.TopicAnswerAdded, msgs...))
		}
	}
	w := p.start(t)
	require.Eventually(t, func() bool { return handled(t, client) }, 2*within, 100*time.Millisecond)
	require.Less(t, w.memory(t), container, "MiB resident at the most")
	w.terminated(t)
}

// handled reports that nothing waits and no letter was made.
func handled(t *testing.T, client *app.Client) bool {
	t.Helper()
	all, err := client.Queues(t.Context())
	require.NoError(t, err)
	for _, b := range all {
		require.Zero(t, b.Dead)
		if b.Ready+b.InFlight+b.Delayed > 0 {
			return false
		}
	}
	return true
}
