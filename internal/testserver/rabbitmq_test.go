package testserver

import (
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestRabbitMQ_KillStartStop(t *testing.T) {
	r, err := StartRabbitMQ(t.Context(), "max_message_size = 1234567")
	require.NoError(t, err)
	out, err := r.Ctl(t.Context(), "eval", "application:get_env(rabbit, max_message_size).")
	require.NoError(t, err)
	require.Contains(t, out, "1234567")
	require.FileExists(t, filepath.Join(r.dir, "plugins"))
	r.Kill()
	require.NoError(t, r.Start(t.Context()))
	_, err = r.Ctl(t.Context(), "nonsense")
	require.Error(t, err)
	require.NotEmpty(t, r.Log())
	require.NoError(t, r.Stop())
	require.NoDirExists(t, r.dir)
	requireNoUsers(t, r.dir)
	require.NoError(t, r.Stop(), "twice")
}

// A broker that others run is used, and left alone.
func TestSharedRabbitMQ_Given(t *testing.T) {
	const url = "amqp://user:secret@broker.test/"
	t.Setenv(URLVariable, url)
	r, err := SharedRabbitMQ(t.Context())
	require.NoError(t, err)
	require.Equal(t, url, r.URL)
	r.Kill()
	for _, err := range []error{r.Start(t.Context()), ctlError(t, r)} {
		require.ErrorContains(t, err, "needs a RabbitMQ of the test's own")
		require.NotContains(t, err.Error(), "secret")
	}
	require.NoError(t, r.Stop())
}

func ctlError(t *testing.T, r *RabbitMQ) error {
	t.Helper()
	_, err := r.Ctl(t.Context(), "status")
	return err
}
