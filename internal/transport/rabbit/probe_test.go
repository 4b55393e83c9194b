package rabbit_test

import (
	"strings"
	"testing"
	"time"

	"github.com/ThreeDotsLabs/watermill/message"
	"github.com/stretchr/testify/require"

	"github.com/answerfeed/answerfeed/internal/transport"
)

// A user who has no right on the queue that the node is asked with hears of it
// once, and works as before.
func TestProbe_UserWithoutTheRight(t *testing.T) {
	server := rough.get(t)
	p := prefix()
	ctl(t, server, "add_user", "unasked", "pw")
	const all = `^(?!.*probe)`
	ctl(t, server, "set_permissions", "unasked", all, all, all)
	log := &lines{}
	cfg := settings(strings.Replace(server.URL, "guest:guest", "unasked:pw", 1), p, noSettings)
	cfg.Logger = log.logger()
	r := migrated(t, cfg)
	const told = "the broker's node cannot be asked whether it serves its queues"
	require.Eventually(t, func() bool { return log.count(told, p+"answerfeed.probe.1") == 1 }, patience, 10*time.Millisecond)
	waitFor(t, 5*time.Second) // it goes on asking in another way
	require.Equal(t, 1, log.count(told))
	require.Zero(t, log.count("does not serve"))
	require.NoError(t, r.Ping(t.Context()))
	messages := consume(t, r, 10)
	require.NoError(t, r.Publisher().Publish(topic, message.NewMessage("m", nil)))
	require.Equal(t, "m", next(t, messages).UUID)
}

// A worker to which messages are delivered asks nothing; when they end, it does.
func TestProbe_NotWhileMessagesCome(t *testing.T) {
	server := rough.get(t)
	asked := func(p string) bool {
		out, err := server.Ctl(t.Context(), "list_queues", "name", "-q")
		require.NoError(t, err)
		return strings.Contains(out, p+"answerfeed.probe")
	}
	const rounds = 5
	for range rounds {
		p, begun := prefix(), time.Now()
		r := migrated(t, settings(server.URL, p, noSettings))
		messages := consume(t, r, 10)
		longest, last := time.Duration(0), begun
		for time.Since(begun) < 6*time.Second {
			require.NoError(t, r.Publisher().Publish(topic, message.NewMessage("m", nil)))
			next(t, messages).Ack()
			longest, last = max(longest, time.Since(last)), time.Now()
		}
		if longest > 1900*time.Millisecond { // the machine has too much to do: nothing came for as long as takes a question
			continue
		}
		require.False(t, asked(p))
		require.Eventually(t, func() bool { return asked(p) }, patience, 100*time.Millisecond)
		return
	}
	require.Fail(t, "messages never came all the time")
}

// A transport that has removed its queues asks nothing more.
func TestProbe_EndsWithItsQueues(t *testing.T) {
	server := rough.get(t)
	p := prefix()
	r := migrated(t, settings(server.URL, p, noSettings))
	channels := func() int {
		out, err := server.Ctl(t.Context(), "list_channels", "connection", "-q")
		require.NoError(t, err)
		return strings.Count(out, "\n")
	}
	before := channels()
	require.NoError(t, r.Remove(t.Context(), []transport.Subscription{subscription()}))
	waitFor(t, 3*time.Second)
	require.LessOrEqual(t, channels(), before+1)
	out, err := server.Ctl(t.Context(), "list_queues", "name", "-q")
	require.NoError(t, err)
	require.NotContains(t, out, p)
}
