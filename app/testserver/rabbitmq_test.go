package testserver

import (
	"bufio"
	"context"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"
)

const (
	patience      = 60 * time.Second
	childVariable = "WORKER_TEST_CHILD"
)

func TestMain(m *testing.M) {
	if os.Getenv(childVariable) != "" {
		fmt.Fprintln(os.Stderr, play())
		os.Exit(1)
	}
	goleak.VerifyTestMain(m)
}

// play starts a broker and waits to be killed.
func play() error {
	r, err := StartRabbitMQ(context.Background())
	if err != nil {
		return err
	}
	fmt.Println(r.dir, r.Port)
	select {}
}

// A test binary that is killed leaves neither a process nor a folder.
func TestStartRabbitMQ_EndsWithTheTest(t *testing.T) {
	self, err := os.Executable()
	require.NoError(t, err)
	cmd := exec.CommandContext(t.Context(), self)
	cmd.Env = append(os.Environ(), childVariable+"=broker")
	cmd.Stderr = os.Stderr
	out, err := cmd.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, cmd.Start())
	line, err := bufio.NewReader(out).ReadString('\n')
	require.NoError(t, err)
	dir, port, _ := strings.Cut(strings.TrimSpace(line), " ")
	require.DirExists(t, dir)
	require.NotEmpty(t, users(t, dir))

	require.NoError(t, cmd.Process.Kill())
	require.Error(t, cmd.Wait())
	require.Eventually(t, func() bool {
		_, err := os.Stat(dir)
		return os.IsNotExist(err) && len(users(t, dir)) == 0
	}, patience, 50*time.Millisecond)
	conn, err := net.Dial("tcp", "127.0.0.1:"+port)
	if err == nil {
		conn.Close()
	}
	require.Error(t, err)
}

// users are the processes that have the folder in their command or
// environment.
func users(t *testing.T, dir string) (pids []string) {
	t.Helper()
	files, err := filepath.Glob("/proc/[0-9]*")
	require.NoError(t, err)
	for _, f := range files {
		command, _ := os.ReadFile(f + "/cmdline") // it may have ended
		environment, _ := os.ReadFile(f + "/environ")
		if strings.Contains(string(command), dir) || strings.Contains(string(environment), dir) {
			pids = append(pids, filepath.Base(f))
		}
	}
	return pids
}

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
	require.Empty(t, users(t, r.dir))
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
