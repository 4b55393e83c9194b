package cli

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/answerfeed/answerfeed/handlers"
)

func TestMain(m *testing.M) {
	code := m.Run()
	err := errors.Join(broker.end(), postgres.end())
	if code == 0 {
		err = errors.Join(err, goleak.Find())
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		code = 1
	}
	os.Exit(code)
}

// patience bounds every wait for something that a test cannot be told of.
const patience = 60 * time.Second

// here makes a new directory the working directory, where the default
// database will be. The environment sets nothing.
func here(t *testing.T) {
	t.Helper()
	t.Chdir(t.TempDir())
	for _, variable := range os.Environ() {
		if name, _, _ := strings.Cut(variable, "="); strings.HasPrefix(name, "WORKER_") {
			t.Setenv(name, "") // puts it back in the end
			require.NoError(t, os.Unsetenv(name))
		}
	}
}

// stock is a command line of the stock program.
func stock(o Options) Options {
	o.Handlers = handlers.All()
	return o
}

// result is what a command line did.
type result struct {
	code     int
	out, err string
}

// worker runs one command line in the working directory.
func worker(t *testing.T, args ...string) result {
	t.Helper()
	return workerWith(t, t.Context(), "", args...)
}

func workerWith(t *testing.T, ctx context.Context, stdin string, args ...string) result {
	t.Helper()
	ctx, cancel := context.WithTimeout(ctx, patience) // a verb that hangs fails
	defer cancel()
	var out, err output
	code := Run(ctx, stock(Options{Args: args, In: strings.NewReader(stdin), Out: &out, Err: &err}))
	r := result{code, out.String(), err.String()}
	for _, text := range []string{r.out, r.err} {
		require.NotContains(t, text, "goroutine ", "a stack trace")
		require.NotContains(t, text, "panic:")
		require.NotContains(t, text, ".go:")
	}
	return r
}

// output takes bytes from many goroutines.
type output struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (o *output) Write(p []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.b.Write(p)
}

func (o *output) String() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.b.String()
}

func write(t *testing.T, name, text string) {
	t.Helper()
	require.NoError(t, os.WriteFile(name, []byte(text), 0o600))
}

// queues is what `backlog -o json` says, by handler and topic.
func queues(t *testing.T) map[string]queueJSON {
	t.Helper()
	r := worker(t, "backlog", "-o", "json")
	require.Equal(t, exitDone, r.code, r.err)
	var all struct {
		Queues []queueJSON
		Outbox *outboxJSON
	}
	d := json.NewDecoder(strings.NewReader(r.out))
	d.DisallowUnknownFields()
	require.NoError(t, d.Decode(&all))
	byName := map[string]queueJSON{}
	for _, q := range all.Queues {
		byName[q.Topic+"."+q.Handler] = q
	}
	return byName
}

func eventually(t *testing.T, reached func() bool) {
	t.Helper()
	for deadline := time.Now().Add(patience); !reached(); {
		require.True(t, time.Now().Before(deadline), "it did not happen within %s", patience)
		<-time.After(5 * time.Millisecond)
	}
}
