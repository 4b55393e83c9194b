package faults

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
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
	if broker.started != nil {
		_ = broker.started.Stop()
	}
	_ = os.RemoveAll(dir)
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

func (w *worker) get(t require.TestingT, path string, into any) {
	require.NoError(t, json.Unmarshal(w.page(t, path), into), path)
}

func (w *worker) page(t require.TestingT, path string) []byte {
	ctx, cancel := context.WithTimeout(context.Background(), within)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, w.base+path, nil)
	require.NoError(t, err)
	response, err := http.DefaultClient.Do(request)
	require.NoError(t, err)
	defer response.Body.Close()
	require.Equal(t, http.StatusOK, response.StatusCode, path)
	body, err := io.ReadAll(response.Body)
	require.NoError(t, err)
	return body
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

var inFlight = regexp.MustCompile(`answerfeed_in_flight\{handler="(\S+)",topic="\S+"\} (\d+)`)

// inFlight is how many messages the handler has in work, in this process.
func (w *worker) inFlight(t require.TestingT, handler string) (n int) {
	for _, m := range inFlight.FindAllStringSubmatch(string(w.page(t, "/metrics")), -1) {
		if m[1] == handler {
			k, err := strconv.Atoi(m[2])
			require.NoError(t, err)
			n += k
		}
	}
	return n
}

// noLetters requires that nothing was dead-lettered.
func (w *worker) noLetters(t require.TestingT) {
	for _, q := range w.backlog(t) {
		require.Zero(t, q.Dead, "dead letters of %s on %s", q.Handler, q.Topic)
	}
}

// drained waits until every message was handled. On AMQP a message between
// broker and worker is counted by nobody: so nothing must be left for a while.
func (w *worker) drained(t testing.TB) {
	t.Helper()
	quiet := 0
	require.Eventually(t, func() bool {
		if quiet++; w.left(t) > 0 {
			quiet = 0
		}
		return quiet == 10
	}, within, 20*time.Millisecond, "the backlog is not drained")
}

// said counts how often a text is in the log.
func (w *worker) said(text string) int { return strings.Count(w.text(), text) }
