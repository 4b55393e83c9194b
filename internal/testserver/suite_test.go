package testserver

import (
	"testing"

	amqp "github.com/rabbitmq/amqp091-go"
	"github.com/stretchr/testify/require"
)

// The servers of another suite are killed, started and removed like the
// machine's own.
func TestSuite(t *testing.T) {
	r, err := StartRabbitMQWith(t.Context(), RabbitMQOptions{Suite: Trixie})
	require.NoError(t, err)
	conn, err := amqp.Dial(r.URL)
	require.NoError(t, err)
	require.Contains(t, conn.Properties["version"], "4.")
	require.NoError(t, conn.Close())
	r.Kill()
	require.NoError(t, r.Start(t.Context()))
	out, err := r.Ctl(t.Context(), "list_vhosts")
	require.NoError(t, err)
	require.Contains(t, out, "/")
	require.NoError(t, r.Stop())
	require.NoDirExists(t, r.dir)
	requireNoUsers(t, r.dir)

	p, err := StartPostgresOf(t.Context(), Sid, "fsync = off")
	require.NoError(t, err)
	p.Kill()
	require.NoError(t, p.Start(t.Context()))
	_, err = p.Database(t.Context())
	require.NoError(t, err)
	require.NoError(t, p.Stop())
	require.NoDirExists(t, p.dir)
	requireNoUsers(t, p.dir)
}

func TestCluster(t *testing.T) {
	nodes, err := StartCluster(t.Context(), RabbitMQOptions{Suite: Sid})
	require.NoError(t, err)
	out, err := nodes[0].Ctl(t.Context(), "cluster_status")
	require.NoError(t, err)
	for _, r := range nodes {
		require.Contains(t, out, r.node())
	}
	for _, r := range nodes {
		require.NoError(t, r.Stop())
		requireNoUsers(t, r.dir)
	}
}
