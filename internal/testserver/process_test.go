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
	if server := os.Getenv(childVariable); server != "" {
		fmt.Fprintln(os.Stderr, play(server))
		os.Exit(1)
	}
	goleak.VerifyTestMain(m)
}

// play starts a server and waits to be killed.
func play(server string) error {
	var dir string
	var port int
	switch server {
	case "rabbitmq":
		r, err := StartRabbitMQ(context.Background())
		if err != nil {
			return err
		}
		dir, port = r.dir, r.Port
	case "postgres":
		p, err := StartPostgres(context.Background())
		if err != nil {
			return err
		}
		dir, port = p.dir, p.Port
	}
	fmt.Println(dir, port)
	select {}
}

// A test binary that is killed leaves neither a process nor a folder.
func TestStart_EndsWithTheTest(t *testing.T) {
	for _, server := range []string{"rabbitmq", "postgres"} {
		t.Run(server, func(t *testing.T) {
			self, err := os.Executable()
			require.NoError(t, err)
			cmd := exec.CommandContext(t.Context(), self)
			cmd.Env = append(os.Environ(), childVariable+"="+server)
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
		})
	}
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

// requireNoUsers waits for the end of processes that were killed.
func requireNoUsers(t *testing.T, dir string) {
	t.Helper()
	require.Eventually(t, func() bool { return len(users(t, dir)) == 0 }, patience, 10*time.Millisecond)
}
