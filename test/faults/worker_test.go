package faults

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// within bounds every wait of these tests.
const within = 2 * time.Minute

// binary is the worker, programBinary the one of program, built once for all
// tests. Neither has the race detector: SQLite is ten times slower with it.
var binary, programBinary string

func TestMain(m *testing.M) {
	if os.Getenv(programVariable) != "" {
		os.Exit(program())
	}
	dir, err := os.MkdirTemp("", "answerfeed-faults")
	if err == nil {
		binary, programBinary = filepath.Join(dir, "worker"), filepath.Join(dir, "program")
		err = errors.Join(
			build("build", "-o", binary, "github.com/answerfeed/answerfeed/cmd/worker"),
			build("test", "-c", "-o", programBinary, "."),
		)
	}
	code := 1
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
	} else {
		code = m.Run()
	}
	_ = errors.Join(broker.stop(), postgres.stop(), os.RemoveAll(dir))
	os.Exit(code)
}

func build(args ...string) error {
	if out, err := exec.Command("go", args...).CombinedOutput(); err != nil {
		return fmt.Errorf("go %s: %w\n%s", args[0], err, out)
	}
	return nil
}

// worker is a running process.
type worker struct {
	cmd  *exec.Cmd
	base string // http://127.0.0.1:PORT

	mu    sync.Mutex
	log   bytes.Buffer
	found chan string // base, once it serves
	done  chan struct{}
	err   error // of Wait, once done
}

var running = regexp.MustCompile(`look="?(http://[0-9.:]+)/`)

func serve(t testing.TB, cmd *exec.Cmd) *worker {
	t.Helper()
	w := launch(t, cmd)
	select {
	case w.base = <-w.found:
	case <-w.done:
		require.FailNow(t, "the worker ended", w.text())
	case <-time.After(within):
		require.FailNow(t, "the worker did not start", w.text())
	}
	return w
}

// launch starts the process and does not wait.
func launch(t testing.TB, cmd *exec.Cmd) *worker {
	t.Helper()
	w := &worker{cmd: cmd, found: make(chan string, 1), done: make(chan struct{})}
	stderr, err := w.cmd.StderrPipe()
	require.NoError(t, err)
	require.NoError(t, w.cmd.Start())
	t.Cleanup(func() {
		w.kill()
		if t.Failed() {
			t.Logf("log of process %d:\n%s", w.cmd.Process.Pid, w.text())
		}
	})
	go func() {
		defer close(w.done)
		lines := bufio.NewScanner(stderr)
		for lines.Scan() {
			w.mu.Lock()
			fmt.Fprintln(&w.log, lines.Text())
			w.mu.Unlock()
			if m := running.FindStringSubmatch(lines.Text()); m != nil {
				w.found <- m[1]
			}
		}
		w.err = w.cmd.Wait()
	}()
	return w
}

func (w *worker) text() string {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.log.String()
}

// kill is kill -9.
func (w *worker) kill() {
	_ = w.cmd.Process.Kill()
	<-w.done
}

// endWithin is how long a worker may take to end after SIGTERM.
const endWithin = 10 * time.Second

// terminated sends SIGTERM and returns how long the worker took to end, with
// status 0.
func (w *worker) terminated(t testing.TB) time.Duration {
	t.Helper()
	begin := time.Now()
	require.NoError(t, w.cmd.Process.Signal(syscall.SIGTERM))
	select {
	case <-w.done:
	case <-time.After(within):
		require.FailNow(t, "the worker did not end", w.text())
	}
	took := time.Since(begin)
	require.NoError(t, w.err, "exit status 0")
	require.Less(t, took, endWithin)
	return took
}

// said counts how often a text is in the log.
func (w *worker) said(text string) int { return strings.Count(w.text(), text) }
