package rabbit_test

import (
	"strings"
	"testing"
	"time"

	"github.com/ThreeDotsLabs/watermill/message"
	"github.com/stretchr/testify/require"
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
