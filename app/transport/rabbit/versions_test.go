package rabbit_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/answerfeed/answerfeed/app/testserver"
)

// versions are brokers of each version, which tests share: with a prefix of
// their own, and policies and users of their own for that.
var versions = map[string]*version{
	"3.10": newVersion(testserver.Installed), "4.0": newVersion(testserver.Trixie), "4.3": newVersion(testserver.Sid),
}

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
			Lines: []string{fmt.Sprintf("management.tcp.port = %d", v.management), "management.tcp.ip = 127.0.0.1"},
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

// onEach runs a test on each version, all at once, with a prefix of its own.
func onEach(t *testing.T, test func(t *testing.T, server *testserver.RabbitMQ, prefix string)) {
	t.Helper()
	for name, v := range versions {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			test(t, v.get(t), prefix())
		})
	}
}

// policy sets one for the queues whose names match, until the test ends.
func policy(t *testing.T, server *testserver.RabbitMQ, name, pattern, definition string) {
	t.Helper()
	ctl(t, server, "set_policy", name, pattern, definition, "--apply-to", "queues")
	t.Cleanup(func() {
		_, err := server.Ctl(context.WithoutCancel(t.Context()), "clear_policy", name)
		require.NoError(t, err)
	})
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
