package rabbit_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/answerfeed/answerfeed/internal/testserver"
)

// versions are brokers of each version, which tests share: with a prefix of
// their own, and policies and users of their own for that.
var versions = map[string]*version{
	"3.10": newVersion(testserver.Installed), "4.0": newVersion(testserver.Trixie), "4.3": newVersion(testserver.Sid),
}

// sizeLimit and frameLimit are less than the brokers' own, so that tests exceed
// them with little.
const sizeLimit, frameLimit = 512 << 10, 16 << 10

// triesSoon lets a broker try after 2 s, and not after 3 minutes, to move again
// what a queue refused as its dead-letter target.
const triesSoon = "-rabbit dead_letter_worker_publisher_confirm_timeout 2000"

type version struct {
	lazy
	management int // the port of its management API
}

func newVersion(suite testserver.Suite) *version {
	v := &version{}
	v.start = func() (server *testserver.RabbitMQ, err error) {
		if v.management, err = testserver.FreePort(); err != nil {
			return nil, err
		}
		return testserver.StartRabbitMQWith(context.Background(), testserver.RabbitMQOptions{
			Suite: suite, Plugins: []string{"rabbitmq_management"},
			Erlang: triesSoon,
			Lines: []string{
				fmt.Sprintf("management.tcp.port = %d", v.management), "management.tcp.ip = 127.0.0.1",
				fmt.Sprint("max_message_size = ", sizeLimit), fmt.Sprint("frame_max = ", frameLimit),
			},
		})
	}
	return v
}

func stopVersions() (err error) {
	for _, v := range versions {
		err = errors.Join(err, v.stop())
	}
	return err
}

// broker is one of them, with its management API, which is quicker than its
// commands.
type broker struct {
	*testserver.RabbitMQ
	management string // its URL
}

// onEach runs a test on each version, all at once however few processors there
// are, since most of it is waiting. Each has a prefix of its own.
func onEach(t *testing.T, test func(t *testing.T, server *broker, prefix string)) {
	t.Helper()
	t.Parallel()
	var all sync.WaitGroup
	for name, v := range versions {
		all.Go(func() {
			t.Run(name, func(t *testing.T) {
				server := v.get(t)
				test(t, &broker{server, fmt.Sprintf("http://guest:guest@127.0.0.1:%d", v.management)}, prefix())
			})
		})
	}
	all.Wait()
}

// manage asks the management API for a change.
func (b *broker) manage(t *testing.T, method, path string, body any) {
	t.Helper()
	data, err := json.Marshal(body)
	require.NoError(t, err)
	request, err := http.NewRequestWithContext(context.WithoutCancel(t.Context()), method, b.management+"/api"+path, bytes.NewReader(data))
	require.NoError(t, err)
	request.Header.Set("Idempotency-Key", path) // so that it is sent again when the server has closed an idle connection
	response, err := http.DefaultClient.Do(request)
	require.NoError(t, err)
	text, err := io.ReadAll(response.Body)
	require.NoError(t, errors.Join(err, response.Body.Close()))
	require.Less(t, response.StatusCode, 300, "%s %s: %s", method, path, text)
}

// policy sets one for the queues whose names match, until the test ends.
func policy(t *testing.T, server *broker, name, pattern string, definition map[string]any) {
	t.Helper()
	path := "/policies/%2f/" + name
	server.manage(t, http.MethodPut, path, map[string]any{"pattern": pattern, "definition": definition, "apply-to": "queues"})
	t.Cleanup(func() { server.manage(t, http.MethodDelete, path, nil) })
}

// lines is a logger that is read.
type lines struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (l *lines) logger() *slog.Logger { return slog.New(slog.NewTextHandler(l, nil)) }

func (l *lines) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(b)
}

// count counts the lines that contain all of the texts.
func (l *lines) count(texts ...string) (n int) {
	l.mu.Lock()
	defer l.mu.Unlock()
line:
	for line := range strings.Lines(l.text.String()) {
		for _, text := range texts {
			if !strings.Contains(line, text) {
				continue line
			}
		}
		n++
	}
	return n
}
