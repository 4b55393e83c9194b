package faults

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// within bounds every wait of these tests.
const within = 2 * time.Minute

// binary is the worker, built once for all tests.
var binary string

func TestMain(m *testing.M) {
	if os.Getenv(programVariable) != "" {
		os.Exit(program())
	}
	dir, err := os.MkdirTemp("", "answerfeed-faults")
	if err == nil {
		binary = filepath.Join(dir, "worker")
		var out []byte
		if out, err = exec.Command("go", "build", "-o", binary, "github.com/answerfeed/answerfeed/cmd/worker").CombinedOutput(); err != nil {
			err = fmt.Errorf("building the worker: %w\n%s", err, out)
		}
	}
	code := 1
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
	} else {
		code = m.Run()
	}
	_ = os.RemoveAll(dir)
	os.Exit(code)
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

// start runs `worker run` in dir and waits until it serves.
func start(t testing.TB, dir string) *worker {
	t.Helper()
	return serve(t, dir, command())
}

func command() *exec.Cmd { return exec.Command(binary, "run", "--listen", "127.0.0.1:0") }

// startProgram runs the worker of program in dir, and waits likewise.
func startProgram(t testing.TB, dir string) *worker {
	t.Helper()
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), programVariable+"=1")
	return serve(t, dir, cmd)
}

func serve(t testing.TB, dir string, cmd *exec.Cmd) *worker {
	t.Helper()
	w := launch(t, dir, cmd)
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
func launch(t testing.TB, dir string, cmd *exec.Cmd) *worker {
	t.Helper()
	w := &worker{cmd: cmd, found: make(chan string, 1), done: make(chan struct{})}
	w.cmd.Dir = dir
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

// terminate sends SIGTERM, and returns how long the worker took and how it
// ended.
func (w *worker) terminate(t testing.TB) (time.Duration, error) {
	t.Helper()
	begin := time.Now()
	require.NoError(t, w.cmd.Process.Signal(syscall.SIGTERM))
	select {
	case <-w.done:
	case <-time.After(within):
		require.FailNow(t, "the worker did not end", w.text())
	}
	return time.Since(begin), w.err
}

func (w *worker) get(t require.TestingT, path string, into any) {
	ctx, cancel := context.WithTimeout(context.Background(), within)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, w.base+path, nil)
	require.NoError(t, err)
	response, err := http.DefaultClient.Do(request)
	require.NoError(t, err)
	defer response.Body.Close()
	require.Equal(t, http.StatusOK, response.StatusCode, path)
	require.NoError(t, json.NewDecoder(response.Body).Decode(into))
}

type item struct {
	QuestionID    string    `json:"question_id"`
	AskedAt       time.Time `json:"asked_at"`
	Answered      bool      `json:"answered"`
	AnswerCount   int       `json:"answer_count"`
	FirstAnswerID *string   `json:"first_answer_id"`
}

// feed reads every page.
func (w *worker) feed(t require.TestingT) []item {
	var all []item
	for cursor := ""; ; {
		var page struct {
			Items      []item `json:"items"`
			NextCursor string `json:"next_cursor"`
		}
		w.get(t, "/api/feed?limit=100&cursor="+url.QueryEscape(cursor), &page)
		all = append(all, page.Items...)
		if cursor = page.NextCursor; cursor == "" {
			return all
		}
	}
}

type queue struct {
	Handler, Topic                 string
	Ready, InFlight, Delayed, Dead int
}

// backlog is /api/backlog as a list.
func (w *worker) backlog(t require.TestingT) []queue {
	type figures struct {
		Ready, Delayed, Dead int
		InFlight             int `json:"in_flight"`
	}
	var body struct {
		Handlers map[string]struct{ Topics map[string]figures }
	}
	w.get(t, "/api/backlog", &body)
	var all []queue
	for handler, h := range body.Handlers {
		for topic, f := range h.Topics {
			all = append(all, queue{Handler: handler, Topic: topic, Ready: f.Ready, InFlight: f.InFlight, Delayed: f.Delayed, Dead: f.Dead})
		}
	}
	return all
}

// left counts the messages that are not handled yet.
func (w *worker) left(t require.TestingT) (n int) {
	for _, q := range w.backlog(t) {
		n += q.Ready + q.InFlight + q.Delayed
	}
	return n
}

// drained waits until every message was handled.
func (w *worker) drained(t testing.TB) {
	t.Helper()
	require.Eventually(t, func() bool { return w.left(t) == 0 }, within, 20*time.Millisecond, "the backlog is not drained")
}
