package app_test

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/ThreeDotsLabs/watermill/message"
	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"github.com/answerfeed/answerfeed/app"
	"github.com/answerfeed/answerfeed/app/event"
	"github.com/answerfeed/answerfeed/config"
	"github.com/answerfeed/answerfeed/handlers"
	"github.com/answerfeed/answerfeed/internal/testserver"
)

// over is how soon work goes on when a trouble has ended.
const over = 5 * time.Second

// sick is a worker whose queues are well, and whose database is made ill.
type sick struct {
	testing.TB
	*app.App
	log    output
	client *app.Client // another process
	sent   int
}

// onDatabase runs a worker with feed, leaderboard and others on a database,
// with queues in a file of their own.
func onDatabase(t testing.TB, driver, dsn string, more ...handlers.Handler) *sick {
	t.Helper()
	return onQueues(t, map[string]any{"transport.sql.dsn": filepath.Join(t.TempDir(), "queues.db")}, driver, dsn, more...)
}

// onQueues is onDatabase with queues that are elsewhere.
func onQueues(t testing.TB, queues map[string]any, driver, dsn string, more ...handlers.Handler) *sick {
	t.Helper()
	s := &sick{TB: t}
	all := append(handlers.All(), more...)
	overrides := map[string]any{"database.driver": driver, "database.dsn": dsn, "web.listen": "127.0.0.1:0"}
	maps.Copy(overrides, queues)
	loaded, err := config.Load(config.Options{Environ: []string{}, Handlers: app.Declare(all), Overrides: overrides})
	require.NoError(t, err)
	for _, h := range all {
		handler(h.Name, quickRetries)(&loaded.Config)
		handler(h.Name, func(c *config.Handler) { c.Timeout = 2 * time.Second })(&loaded.Config)
	}
	opts := app.Options{Config: loaded.Config, Handlers: all, Logger: logger(&s.log)}
	s.App, err = app.New(t.Context(), opts)
	require.NoError(t, err)
	t.Cleanup(func() {
		if t.Failed() {
			text := s.log.String()
			t.Logf("the end of the worker's log:\n%s", text[max(0, len(text)-5000):])
		}
		require.NoError(t, s.Stop(context.WithoutCancel(t.Context())))
	})
	require.NoError(t, s.Start(t.Context()))
	s.client, err = app.Open(t.Context(), opts)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, s.client.Close()) })
	return s
}

// answers publishes answers to question q1, of about 2 kB each.
func (s *sick) answers(n int) {
	s.Helper()
	var msgs []*message.Message
	for range n {
		s.sent++
		m := message.NewMessage("", fmt.Appendf(nil, `{"answer_id":"a%d","question_id":"q1","author_id":"ann","excerpt":%q,"occurred_at":"2026-01-02T00:00:00Z"}`,
			s.sent, strings.Repeat("\u00e4", 1000)))
		m.SetContext(s.Context())
		msgs = append(msgs, m)
	}
	require.NoError(s, s.client.Publisher().Publish(event.TopicAnswerAdded, msgs...))
}

// malformed publishes what no handler can read.
func (s *sick) malformed(n int) {
	s.Helper()
	for i := range n {
		m := message.NewMessage("", fmt.Appendf(nil, "no event %d", i))
		m.SetContext(s.Context())
		require.NoError(s, s.client.Publisher().Publish(event.TopicAnswerAdded, m))
	}
}

// backlog is that of a handler on answer-added.
func (s *sick) backlog(handler string) (waiting, dead int64) {
	s.Helper()
	all, err := s.client.Backlog(s.Context())
	require.NoError(s, err)
	for _, b := range all {
		if b.Handler == handler {
			waiting += b.Ready + b.InFlight + b.Delayed
			dead += b.Dead
		}
	}
	return waiting, dead
}

// done waits until the handler has nothing left to do, and no letters.
func (s *sick) done(handler string, within time.Duration) {
	s.Helper()
	s.ended(handler, within, 0)
}

// ended waits until the handler has nothing left to do, and so many letters.
func (s *sick) ended(handler string, within time.Duration, letters int) {
	s.Helper()
	begin := time.Now()
	eventually(s, func() bool {
		waiting, dead := s.backlog(handler)
		if letters == 0 {
			require.Zero(s, dead, "letters")
		} // else one that moves from queue to table may be counted in both
		return waiting == 0 && int(dead) == letters
	})
	require.LessOrEqual(s, time.Since(begin), within)
}

// available asks /readyz, where tables are shown that were away.
func (s *sick) available(dependency string) bool {
	s.Helper()
	client := http.Client{Transport: &http.Transport{DisableKeepAlives: true}, Timeout: patience}
	r, err := client.Get("http://" + s.Addr() + "/readyz")
	require.NoError(s, err)
	defer r.Body.Close()
	var report struct {
		Dependencies map[string]struct{ Available bool }
	}
	require.NoError(s, json.NewDecoder(r.Body).Decode(&report))
	d, known := report.Dependencies[dependency]
	return d.Available || !known
}

func (s *sick) away(dependency string) {
	s.Helper()
	eventually(s, func() bool { return !s.available(dependency) })
}

// lasts gives the trouble time to do harm, and sees that nothing changes.
func (s *sick) lasts(dependency string) {
	s.Helper()
	for end := time.Now().Add(time.Second); time.Now().Before(end); <-time.After(100 * time.Millisecond) {
		require.False(s, s.available(dependency))
	}
}

// told sees that the outage was said once, and its end once.
func (s *sick) told(dependency string) {
	s.Helper()
	eventually(s, func() bool { return s.available(dependency) })
	log := s.log.String()
	require.Equal(s, 1, strings.Count(log, `msg="a dependency is away; messages wait for it" dependency=`+dependency+" "))
	require.Equal(s, 1, strings.Count(log, `msg="a dependency is back" dependency=`+dependency+" "))
	require.NotContains(s, log, "attempt failed")
}

// smallDisk mounts a disk of its own over a folder, of the user's.
func smallDisk(t testing.TB, dir string, bytes, uid, gid int) {
	t.Helper()
	require.NoError(t, syscall.Mount("tmpfs", dir, "tmpfs", 0, fmt.Sprintf("size=%d,uid=%d,gid=%d,mode=0700", bytes, uid, gid)),
		"this test needs a small disk, which only root may mount")
	t.Cleanup(func() { require.NoError(t, syscall.Unmount(dir, syscall.MNT_DETACH)) })
}

// fill takes all the room that is left on a disk, and returns what gives it
// back.
func fill(t testing.TB, dir string) (free func()) {
	t.Helper()
	file := filepath.Join(dir, "filler")
	f, err := os.Create(file)
	require.NoError(t, err)
	for size := 1 << 16; size > 0; {
		if _, err := f.Write(make([]byte, size)); err != nil {
			require.ErrorIs(t, err, syscall.ENOSPC)
			size /= 2
		}
	}
	require.NoError(t, f.Close())
	return func() { require.NoError(t, os.Remove(file)) }
}

// server is a PostgreSQL of the test's own.
func server(t testing.TB, suite testserver.Suite) *testserver.Postgres {
	t.Helper()
	p, err := testserver.StartPostgresOf(t.Context(), suite, "fsync = off")
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, p.Stop()) })
	return p
}

func databaseOf(t testing.TB, p *testserver.Postgres) (dsn string) {
	t.Helper()
	dsn, err := p.Database(t.Context())
	require.NoError(t, err)
	return dsn
}

// administer runs queries one by one on a connection of their own, which ends
// with the test.
func administer(t testing.TB, dsn string, queries ...string) *pgx.Conn {
	t.Helper()
	ctx := context.WithoutCancel(t.Context())
	conn, err := pgx.Connect(ctx, dsn)
	require.NoError(t, err)
	t.Cleanup(func() { _ = conn.Close(ctx) })
	for _, q := range queries {
		_, err := conn.Exec(ctx, q)
		require.NoError(t, err)
	}
	return conn
}
