package relay_test

import (
	"context"
	"database/sql"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/answerfeed/answerfeed/app/database"
	"github.com/answerfeed/answerfeed/app/outbox"
	"github.com/answerfeed/answerfeed/internal/relay"
	"github.com/answerfeed/answerfeed/internal/testserver"
	"github.com/answerfeed/answerfeed/internal/transport"
)

// A topic that nobody listens to keeps its events, and stops no other; they
// come when somebody listens.
func TestRelay_TopicWithoutQueue(t *testing.T) {
	t.Parallel()
	onEach(t, func(t *testing.T, p place) {
		s := set(t, p)
		k := s.listen(topic)
		const unheard = 1500
		s.publish("unheard", 0, unheard)
		s.relay(relay.Options{})
		s.publish(topic, 0, 1000)
		s.arrive(k, 1000)
		s.waiting(unheard)
		s.logged("events of a topic cannot be published", 1)
		var tried int
		require.NoError(t, s.db.Read().QueryRowContext(t.Context(), `SELECT count(*) FROM outbox WHERE tries > 0 AND last_error LIKE '%nobody listens%'`).Scan(&tried))
		require.Positive(t, tried)
		require.LessOrEqual(t, tried, unheard)

		late := s.listen("unheard")
		s.all(late, unheard)
		require.Equal(t, 1, s.log.lines("events of a topic cannot be published"))
		require.Equal(t, 1, s.log.lines("events of a topic can be published again"))
	})
}

// What a producer wrote by hand past all rules becomes the consumer's dead
// letter: the transport takes it, and the metadata says what is wrong.
func TestRelay_BadMetadata(t *testing.T) {
	t.Parallel()
	onEach(t, func(t *testing.T, p place) {
		s := set(t, p)
		k := s.listen(topic)
		s.relay(relay.Options{})
		for n, metadata := range []string{"no JSON", "null", "[]", `{"a":1}`, `{"a":"` + strings.Repeat("x", 200<<10) + `"}`, "{ü"} {
			s.exec(`INSERT INTO outbox (topic, metadata, payload) VALUES ($1, $2, $3)`, topic, metadata, []byte{0xff, byte(n)})
			s.all(k, n+1)
			require.NotEmpty(t, k.metadata().Get(transport.KeyBadMetadata), metadata)
			require.LessOrEqual(t, len(k.metadata().Get(transport.KeyBadMetadata)), 2<<10)
		}
	})
}

// One event that the broker refuses, and a broker that is killed.
func TestRelay_BrokerRefusesAndDies(t *testing.T) {
	t.Parallel()
	own, err := testserver.StartRabbitMQ(t.Context(), "max_message_size = 100000")
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, own.Stop()) })
	p := onPostgres(t, own.URL)
	p.Timeout = time.Second
	s := set(t, p)
	k := s.listen(topic)

	s.publish(topic, 0, 1000)
	require.NoError(t, s.db.Update(t.Context(), database.Durable, func(ctx context.Context, tx *sql.Tx) error {
		return outbox.Publish(ctx, tx, topic, told(strings.Repeat("x", 200000)))
	}))
	s.publish(topic, 1000, 2000)
	s.relay(relay.Options{})
	s.arrive(k, 2000)
	s.waiting(1)
	s.logged("an event cannot be published", 1)
	require.Zero(t, s.log.lines("transport is away"))

	own.Kill()
	s.publish(topic, 2000, 4000)
	s.logged("the transport is away", 1)
	require.NoError(t, own.Start(t.Context()))
	s.arrive(k, 4000)
	s.waiting(1)
	require.Equal(t, 1, s.log.lines("the transport is away"))
	require.Equal(t, 1, s.log.lines("the transport is back"))
	require.Empty(t, k.twice)
}
