package app_test

import (
	"bytes"
	"context"
	"database/sql"
	"encoding/json"
	"io"
	"log/slog"
	"net/http"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/ThreeDotsLabs/watermill/message"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/answerfeed/answerfeed/app"
	"github.com/answerfeed/answerfeed/app/database"
	"github.com/answerfeed/answerfeed/config"
	"github.com/answerfeed/answerfeed/handlers"
	"github.com/answerfeed/answerfeed/internal/deadletter"
)

func TestMain(m *testing.M) {
	// A Watermill router whose start failed leaves this behind.
	goleak.VerifyTestMain(m)
}

// patience bounds every wait for something that a test cannot be told of.
const patience = 60 * time.Second

// output takes log lines from many goroutines.
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

// options are those of a worker on the file, with everything logged to log.
func options(t testing.TB, path string, log io.Writer, all []handlers.Handler) app.Options {
	t.Helper()
	loaded, err := config.Load(config.Options{Environ: []string{}, Handlers: app.Declare(all), Overrides: map[string]any{
		"transport.sql.dsn": path, "database.dsn": path, "web.listen": "127.0.0.1:0",
	}})
	require.NoError(t, err)
	return app.Options{Config: loaded.Config, Handlers: all,
		Logger: logger(log)}
}

func logger(to io.Writer) *slog.Logger {
	return slog.New(app.LogHandler(slog.NewTextHandler(to, &slog.HandlerOptions{Level: slog.LevelDebug})))
}

// rig is a file on which workers run, and another process's view of it.
type rig struct {
	path   string
	log    output
	client *app.Client
	db     *database.DB
}

func newRig(t testing.TB, all []handlers.Handler) *rig {
	t.Helper()
	r := &rig{path: filepath.Join(t.TempDir(), "test.db")}
	var err error
	r.client, err = app.Open(t.Context(), options(t, r.path, io.Discard, all))
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, r.client.Close()) })
	r.db, err = database.Open(t.Context(), database.Config{Driver: database.SQLite, DSN: r.path})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, r.db.Close()) })
	return r
}

// run starts a worker that is stopped when the test ends.
func (r *rig) run(t testing.TB, all []handlers.Handler, change ...func(*config.Config)) *app.App {
	t.Helper()
	opts := options(t, r.path, &r.log, all)
	for _, f := range change {
		f(&opts.Config)
	}
	a, err := app.New(t.Context(), opts)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, a.Stop(context.WithoutCancel(t.Context()))) })
	require.NoError(t, a.Start(t.Context()))
	return a
}

// handler changes the settings of one handler.
func handler(name string, change func(*config.Handler)) func(*config.Config) {
	return func(c *config.Config) {
		h := c.Handlers[name]
		change(&h)
		c.Handlers[name] = h
	}
}

// publish sends payloads without any header, as a foreign producer does.
func (r *rig) publish(t testing.TB, topic string, payloads ...string) {
	t.Helper()
	msgs := make([]*message.Message, len(payloads))
	for i, p := range payloads {
		msgs[i] = message.NewMessage("", []byte(p))
		msgs[i].SetContext(t.Context())
	}
	require.NoError(t, r.client.Publisher().Publish(topic, msgs...))
}

// waiting counts what is not settled yet, in all queues, and the letters.
func (r *rig) waiting(t testing.TB) (pending, dead int64) {
	t.Helper()
	all, err := r.client.Backlog(t.Context())
	require.NoError(t, err)
	for _, b := range all {
		pending += b.Ready + b.InFlight + b.Delayed
		dead += b.Dead
	}
	return pending, dead
}

// settled waits until nothing is pending and all letters are on the desk.
func (r *rig) settled(t testing.TB) []*deadletter.Letter {
	t.Helper()
	var letters []*deadletter.Letter
	eventually(t, func() bool {
		pending, dead := r.waiting(t)
		letters = r.letters(t)
		return pending == 0 && int(dead) == len(letters)
	})
	return letters
}

// letters are all dead letters on the desk, those that failed last first.
func (r *rig) letters(t testing.TB) []*deadletter.Letter {
	t.Helper()
	store := deadletter.New(r.db, database.Relaxed)
	defer store.Close()
	ids, err := store.Newest(t.Context(), 10000)
	require.NoError(t, err)
	var letters []*deadletter.Letter
	for _, id := range ids {
		l, err := store.Get(t.Context(), id)
		require.NoError(t, err)
		letters = append(letters, l)
	}
	return letters
}

func eventually(t testing.TB, reached func() bool) {
	t.Helper()
	for deadline := time.Now().Add(patience); !reached(); {
		require.True(t, time.Now().Before(deadline), "it did not happen within %s", patience)
		<-time.After(5 * time.Millisecond)
	}
}

// get reads one address of the worker.
func get(t testing.TB, a *app.App, path string) (status int, body string) {
	t.Helper()
	return getFrom(t, a.Addr(), path)
}

func getFrom(t testing.TB, addr, path string) (status int, body string) {
	t.Helper()
	client := http.Client{Transport: &http.Transport{DisableKeepAlives: true}, Timeout: patience}
	r, err := client.Get("http://" + addr + path)
	require.NoError(t, err)
	defer r.Body.Close()
	text, err := io.ReadAll(r.Body)
	require.NoError(t, err)
	return r.StatusCode, string(text)
}

// getJSON decodes what get returns.
func getJSON(t testing.TB, a *app.App, path string, into any) {
	t.Helper()
	status, body := get(t, a, path)
	require.Equal(t, http.StatusOK, status, body)
	require.NoError(t, json.Unmarshal([]byte(body), into))
}

// probe is a handler of the topic "probe" that does as its script says.
type probe struct {
	script func(payload string, attempt int) error
	waits  bool // for the end of each attempt's time

	mu       sync.Mutex
	attempts map[string]int
}

func (p *probe) handler(name string) handlers.Handler {
	decode := func(payload []byte) (string, error) { return string(payload), nil }
	return handlers.Handler{Name: name, Topics: func(handlers.Env) []handlers.Topic {
		return []handlers.Topic{app.On("probe", decode, p.handle)}
	}}
}

func (p *probe) handle(ctx context.Context, payload string) error {
	p.mu.Lock()
	if p.attempts == nil {
		p.attempts = map[string]int{}
	}
	p.attempts[payload]++
	n := p.attempts[payload]
	p.mu.Unlock()
	if p.waits {
		<-ctx.Done()
		return ctx.Err()
	}
	return p.script(payload, n)
}

// made is how often the payload was tried.
func (p *probe) made(payload string) int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.attempts[payload]
}

// quickRetries is a schedule that a test has the time for.
func quickRetries(h *config.Handler) {
	h.Retry = config.Retry{Attempts: 2, Backoff: time.Millisecond, Redeliver: []time.Duration{10 * time.Millisecond, 20 * time.Millisecond}}
}

// insert puts a row into a queue, as a producer without this program does.
func (r *rig) insert(t testing.TB, queue, uuid, metadata, payload string) {
	t.Helper()
	require.NoError(t, r.db.Update(t.Context(), database.Durable, func(ctx context.Context, tx *sql.Tx) error {
		_, err := tx.ExecContext(ctx, r.db.SQL(`INSERT INTO queue_messages (queue_id, due_at, enqueued_at, uuid, metadata, payload)
			SELECT id, 0, 0, $1, $2, $3 FROM queues WHERE name = $4`), uuid, metadata, []byte(payload), queue)
		return err
	}))
}
