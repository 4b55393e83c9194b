package relay_test

import (
	"context"
	"database/sql"
	"strings"
	"testing"
	"time"

	"github.com/ThreeDotsLabs/watermill/message"
	"github.com/stretchr/testify/require"

	"github.com/answerfeed/answerfeed/app/database"
	"github.com/answerfeed/answerfeed/app/outbox"
	"github.com/answerfeed/answerfeed/internal/relay"
	"github.com/answerfeed/answerfeed/internal/testserver"
	"github.com/answerfeed/answerfeed/internal/transport"
)

// What a broker refuses, one message or one queue, stays in the outbox and is
// said once; the queues that take the others have them once or twice.
func TestRelay_BrokerRefuses(t *testing.T) {
	for _, suite := range testserver.Suites() {
		t.Run(suite.String(), func(t *testing.T) {
			t.Parallel()
			server, err := testserver.StartRabbitMQWith(t.Context(), testserver.RabbitMQOptions{
				Suite: suite, Lines: []string{"max_message_size = 524288"},
			})
			require.NoError(t, err)
			t.Cleanup(func() { require.NoError(t, server.Stop()) })
			t.Run("one message", func(t *testing.T) { oneTooLarge(t, server) })
			t.Run("a queue", func(t *testing.T) { oneQueueRefuses(t, server) })
		})
	}
}

func oneTooLarge(t *testing.T, server *testserver.RabbitMQ) {
	s := set(t, onPostgres(t, server.URL))
	k := s.listen(topic)
	s.publish(topic, 0, 30)
	require.NoError(t, s.db.Update(t.Context(), database.Durable, func(ctx context.Context, tx *sql.Tx) error {
		return outbox.Publish(ctx, tx, topic, told(strings.Repeat("x", 600000)))
	}))
	s.publish(topic, 30, 60)
	s.relay(relay.Options{})
	s.arrive(k, 60)
	s.waiting(1)
	s.logged("an event cannot be published", 1)
	require.Zero(t, s.log.lines("events of a topic cannot be published"))
	s.atMostTwice(k)
	var why string
	require.NoError(t, s.db.Read().QueryRowContext(t.Context(), `SELECT last_error FROM outbox WHERE tries = 1`).Scan(&why))
	require.Contains(t, why, "larger than")
	require.Contains(t, why, "max size 524288")
}

func oneQueueRefuses(t *testing.T, server *testserver.RabbitMQ) {
	s := set(t, onPostgres(t, server.URL))
	k, other := s.listen(topic), s.listen("other")
	full := transport.Subscription{Topic: topic, Handler: "full"}
	require.NoError(t, s.to.Migrate(t.Context(), []transport.Subscription{full}))
	_, err := server.Ctl(t.Context(), "set_policy", "full", "^"+s.Prefix+full.Queue()+"$", `{"max-length":1,"overflow":"reject-publish"}`, "--apply-to", "queues")
	require.NoError(t, err)
	require.Eventually(t, func() bool {
		return s.to.Publisher().Publish(full.Queue(), message.NewMessage("fills it", nil)) != nil
	}, patience, 10*time.Millisecond)
	s.publish(topic, 0, 10)
	s.publish("other", 10, 30)
	s.relay(relay.Options{})
	s.logged("events of a topic cannot be published", 1)
	s.publish("other", 30, 50)
	s.arrive(other, 40)
	s.waiting(10)
	waitFor(t, 3*time.Second) // for what must not come
	s.atMostTwice(k)
	require.Equal(t, 1, s.log.lines("events of a topic cannot be published"))
	require.Zero(t, s.log.lines("transport is away"))
	var why string
	require.NoError(t, s.db.Read().QueryRowContext(t.Context(), `SELECT last_error FROM outbox WHERE tries > 0 LIMIT 1`).Scan(&why))
	require.Contains(t, why, full.Queue()+" is full")
}

// atMostTwice fails when an event came more often.
func (s *stage) atMostTwice(k *sink) {
	s.Helper()
	k.mu.Lock()
	defer k.mu.Unlock()
	for body, n := range k.came {
		require.LessOrEqual(s, n, 2, "%.40s", body)
	}
}
