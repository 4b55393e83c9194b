package relay_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/answerfeed/answerfeed/app/database"
	"github.com/answerfeed/answerfeed/internal/relay"
	"github.com/answerfeed/answerfeed/internal/testserver"
)

// A transaction that stays open holds up no event but its own; and that one,
// whose id lies far behind by then, arrives after its commit.
func TestRelay_LateCommit(t *testing.T) {
	t.Parallel()
	p := onSQLite(t)
	p.Database = onPostgres(t, "").Database
	s := set(t, p)
	k := s.listen(topic)
	other, err := database.Open(t.Context(), p.Database) // another process, so to speak
	require.NoError(t, err)
	defer other.Close()
	begun, commit := make(chan struct{}), make(chan struct{})
	ended := make(chan error, 1)
	go func() { ended <- other.Update(t.Context(), database.Durable, late(begun, commit)) }()
	<-begun

	s.relay(relay.Options{})
	for n := range 30 { // for longer than the mark lies behind
		s.publish(topic, n*100, n*100+100)
		s.arrive(k, n*100+100)
		waitFor(t, 50*time.Millisecond)
	}
	close(commit)
	require.NoError(t, <-ended)
	s.all(k, 3001)
}

// The outbox's own database is away when the relay begins, and is killed while
// events pass.
func TestRelay_DatabaseDies(t *testing.T) {
	t.Parallel()
	own, err := testserver.StartPostgres(t.Context())
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, own.Stop()) })
	dsn, err := own.Database(t.Context())
	require.NoError(t, err)
	p := onSQLite(t)
	p.Database = database.Config{Driver: database.Postgres, DSN: dsn}
	s := set(t, p)
	k := s.listen(topic)
	s.publish(topic, 0, 3000)
	own.Kill()
	s.relay(relay.Options{Lease: 3 * time.Second})
	s.logged("the outbox cannot be used", 1)
	require.NoError(t, own.Start(t.Context()))
	s.arrive(k, 1)
	own.Kill()
	s.logged("the outbox cannot be used", 2)
	require.NoError(t, own.Start(t.Context()))
	s.publish(topic, 3000, 4000)
	s.all(k, 4000)
	require.Equal(t, 2, s.log.lines("the outbox cannot be used"))
	require.Equal(t, 2, s.log.lines("the outbox can be used again"))
	require.Zero(t, s.log.lines("the transport"))
}
