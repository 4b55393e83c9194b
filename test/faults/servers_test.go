package faults

import (
	"context"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/answerfeed/answerfeed/internal/testserver"
)

// The servers of all tests that do nothing to them, started when the first
// asks for them.
var (
	broker   = shared[*testserver.RabbitMQ]{start: testserver.SharedRabbitMQ}
	postgres = shared[*testserver.Postgres]{start: testserver.SharedPostgres}
)

type shared[T interface{ Stop() error }] struct {
	start func(context.Context) (T, error)

	once    sync.Once
	server  T
	err     error
	started bool
}

func (s *shared[T]) get(t testing.TB) T {
	t.Helper()
	s.once.Do(func() {
		s.server, s.err = s.start(context.Background())
		s.started = s.err == nil
	})
	require.NoError(t, s.err)
	return s.server
}

func (s *shared[T]) stop() error {
	if !s.started {
		return nil
	}
	return s.server.Stop()
}

func sharedBroker(t testing.TB) string { return broker.get(t).URL }

// ownBroker is a RabbitMQ that the test may kill.
func ownBroker(t testing.TB) *testserver.RabbitMQ {
	t.Helper()
	b, err := testserver.StartRabbitMQ(t.Context())
	require.NoError(t, err)
	t.Cleanup(func() {
		if t.Failed() {
			t.Logf("the broker's log:\n%s", b.Log())
		}
		_ = b.Stop()
	})
	return b
}

// ownPostgres is a PostgreSQL that the test may kill.
func ownPostgres(t testing.TB) *testserver.Postgres {
	t.Helper()
	p, err := testserver.StartPostgres(t.Context())
	require.NoError(t, err)
	t.Cleanup(func() {
		if t.Failed() {
			log := p.Log()
			t.Logf("the end of the database's log:\n%s", log[max(0, len(log)-20_000):])
		}
		_ = p.Stop()
	})
	return p
}

// newDatabase is an empty database on the server.
func newDatabase(t testing.TB, server *testserver.Postgres) string {
	t.Helper()
	dsn, err := server.Database(t.Context())
	require.NoError(t, err)
	return dsn
}

// sharedDatabase is an empty database on the shared server.
func sharedDatabase(t testing.TB) string { return newDatabase(t, postgres.get(t)) }
