package sqlqueue_test

import (
	"database/sql"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/answerfeed/answerfeed/internal/testserver"
	"github.com/answerfeed/answerfeed/internal/transport"
	"github.com/answerfeed/answerfeed/internal/transport/transporttest"
)

func TestConformance(t *testing.T) {
	t.Run("sqlite", func(t *testing.T) {
		transporttest.Run(t, transporttest.Harness{Start: func(t *testing.T, _ bool) transporttest.Broker {
			return broker(t, onSQLite(t))
		}})
	})
	t.Run("postgres", func(t *testing.T) {
		transporttest.Run(t, transporttest.Harness{Start: func(t *testing.T, own bool) transporttest.Broker {
			if !own {
				return broker(t, onPostgres(t))
			}
			server := ownServer(t)
			at := databaseOn(t, server)
			b := broker(t, at)
			b.Kill = func(t *testing.T) {
				server.Kill()
				require.NoError(t, server.Start(t.Context()))
			}
			b.Restart = func(t *testing.T) { // a server that stops in good order writes all down
				exec(t, raw(t, at), "CHECKPOINT")
				b.Kill(t)
			}
			return b
		}})
	})
}

// ownServer is a PostgreSQL that the test may kill.
func ownServer(t testing.TB, lines ...string) *testserver.Postgres {
	t.Helper()
	server, err := testserver.StartPostgres(t.Context(), lines...)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, server.Stop()) })
	return server
}

func broker(t *testing.T, at place) transporttest.Broker {
	var stop []func(t *testing.T)
	other := sync.OnceValue(func() *sql.Conn { return raw(t, at) })
	return transporttest.Broker{
		Open: func(t *testing.T, s transporttest.Settings) transport.Transport {
			q, db := open(t, at, settings(s))
			stop = append(stop, func(t *testing.T) {
				require.NoError(t, q.Close())
				require.NoError(t, db.Close())
			})
			return q
		},
		Address: string(at),
		Restart: func(t *testing.T) {
			for _, f := range stop {
				f(t)
			}
			stop = nil
		},
		ExpireClaims: func(t *testing.T) {
			q := `UPDATE queue_messages SET leased_until = 0 WHERE id IN (SELECT id FROM queue_messages WHERE token <> 0 FOR UPDATE SKIP LOCKED)`
			if at.onSQLite() {
				q = `UPDATE queue_messages SET due_at = 0 WHERE token <> 0`
			}
			exec(t, other(), q)
		},
		Ages: true,
	}
}
