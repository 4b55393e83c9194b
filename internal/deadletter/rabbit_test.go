package deadletter_test

import (
	"log/slog"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/answerfeed/answerfeed/app/database"
	"github.com/answerfeed/answerfeed/internal/deadletter"
	"github.com/answerfeed/answerfeed/internal/testserver"
	"github.com/answerfeed/answerfeed/internal/transport"
	"github.com/answerfeed/answerfeed/internal/transport/rabbit"
)

// From a broker's dead queue to the desk, and back to the one handler.
func TestRequeue_OnRabbitMQ(t *testing.T) {
	broker, err := testserver.SharedRabbitMQ(t.Context())
	require.NoError(t, err)
	defer func() { require.NoError(t, broker.Stop()) }()
	r := newRig(t, database.SQLite)
	r.queue, err = rabbit.New(t.Context(), rabbit.Config{
		URLs: []string{broker.URL}, Prefix: "desk-", Subscriptions: subscriptions, Logger: slog.New(slog.DiscardHandler),
	})
	require.NoError(t, err)
	defer func() { require.NoError(t, r.queue.Close()) }()
	require.NoError(t, r.queue.Migrate(t.Context(), subscriptions))
	r.desk = r.newDesk("ann")

	l := letter(func(l *deadletter.Letter) { l.Metadata, l.Payload = failed, []byte("\xff\x00") })
	gone := letter(func(l *deadletter.Letter) { l.Handler = "no-longer-there" })
	r.save(t, l, gone)
	refused := map[string]error{}
	result, err := r.desk.Requeue(t.Context(), deadletter.Selection{}, deadletter.Options{Refused: func(id string, err error) { refused[id] = err }})
	require.NoError(t, err)
	require.Equal(t, deadletter.Result{Selected: 2, Done: 1, Refused: 1}, result)
	require.ErrorIs(t, refused[gone.ID], transport.ErrNoQueue)

	got := taken(t, r.queue, subscriptions[0])
	require.Len(t, got, 1)
	require.Equal(t, "\xff\x00", string(got[0].Payload))
	require.Equal(t, "1", got[0].Metadata.Get(transport.KeyRequeues))
	require.Equal(t, "kept", got[0].Metadata.Get("own"))
	require.Empty(t, got[0].Metadata.Get(transport.KeyAttempts))
	require.Empty(t, taken(t, r.queue, subscriptions[1]))
	requireExact(t, r.db)
}
