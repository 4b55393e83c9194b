package app_test

import (
	"context"
	"database/sql"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/answerfeed/answerfeed/app"
	"github.com/answerfeed/answerfeed/app/database"
	"github.com/answerfeed/answerfeed/app/event"
	"github.com/answerfeed/answerfeed/config"
	"github.com/answerfeed/answerfeed/handlers"
	"github.com/answerfeed/answerfeed/internal/transport"
)

// What New cannot have is told in one sentence, and leaves nothing behind.
func TestNew_UndoesEverythingOnFailure(t *testing.T) {
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer taken.Close()
	dir := t.TempDir()
	file := filepath.Join(dir, "file")
	require.NoError(t, os.WriteFile(file, nil, 0o600))
	newer := func(table string) string {
		r := newRig(t, handlers.All())
		require.NoError(t, r.db.Update(t.Context(), database.Durable, func(ctx context.Context, tx *sql.Tx) error {
			_, err := tx.ExecContext(ctx, "UPDATE "+table+" SET min_worker = 9999")
			return err
		}))
		return r.path
	}
	at := func(path string) func(*app.Options) {
		return func(o *app.Options) { o.Config.Database.DSN, o.Config.Transport.SQL.DSN = path, path }
	}
	tests := map[string]struct {
		change func(*app.Options)
		says   string
	}{
		"a taken port":                {func(o *app.Options) { o.Config.Web.Listen = taken.Addr().String() }, "already in use by another program"},
		"a path under a file":         {at(filepath.Join(file, "test.db")), "is a file"},
		"a missing directory":         {at(filepath.Join(dir, "no", "test.db")), "its directory cannot be used"},
		"a directory":                 {at(dir), "is a directory"},
		"a directory not to write to": {at("/proc/answerfeed.db"), "cannot be written to"},
		"a queue not to write to":     {func(o *app.Options) { o.Config.Transport.SQL.DSN = "/proc/answerfeed.db" }, "cannot be written to"},
		"a schema of a newer worker":  {at(newer("answerfeed_schema_needs")), "run a newer worker"},
		"a queue of a newer worker":   {at(newer("queue_schema_needs")), "run a newer worker"},
		"no tables, migrate: false":   {func(o *app.Options) { o.Config.Migrate = false }, "run `worker migrate`"},
		"a demo of negative rate":     {func(o *app.Options) { o.Demo = -1 }, "must not be below 0"},
		"a handler without settings":  {func(o *app.Options) { delete(o.Config.Handlers, "feed") }, `handler "feed": the configuration was loaded without it`},
		"two handlers of a name":      {func(o *app.Options) { o.Handlers = append(o.Handlers, handlers.Feed()) }, "two of that name"},
		"a registry that was used": {func(o *app.Options) {
			o.Registry = prometheus.NewRegistry()
			o.Registry.MustRegister(prometheus.NewGaugeVec(prometheus.GaugeOpts{Name: "answerfeed_in_flight", Help: "x"}, nil))
		}, "registering metrics"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			before := goleak.IgnoreCurrent()
			opts := options(t, filepath.Join(t.TempDir(), "test.db"), io.Discard, handlers.All())
			test.change(&opts)
			a, err := app.New(t.Context(), opts)
			require.Nil(t, a)
			require.ErrorContains(t, err, test.says)
			require.NotContains(t, err.Error(), "\n", "one sentence")
			require.NotContains(t, err.Error(), "goroutine")
			goleak.VerifyNone(t, before)
		})
	}
}

func TestApp_StopWithoutStart(t *testing.T) {
	before := goleak.IgnoreCurrent()
	a, err := app.New(t.Context(), options(t, filepath.Join(t.TempDir(), "test.db"), io.Discard, handlers.All()))
	require.NoError(t, err)
	addr := a.Addr()
	require.NoError(t, a.Stop(t.Context()))
	require.NoError(t, a.Stop(t.Context()), "twice is once")
	goleak.VerifyNone(t, before)
	l, err := net.Listen("tcp", addr)
	require.NoError(t, err, "the port is free again")
	require.NoError(t, l.Close())
}

func TestApp_StopLeavesNothingRunning(t *testing.T) {
	before := goleak.IgnoreCurrent()
	path := filepath.Join(t.TempDir(), "test.db")
	for range 3 { // the same file again
		a, err := app.New(t.Context(), options(t, path, io.Discard, handlers.All()))
		require.NoError(t, err)
		ctx, cancel := context.WithCancel(t.Context())
		require.NoError(t, a.Start(ctx))
		cancel() // the App lives until Stop
		status, _ := get(t, a, "/livez")
		require.Equal(t, http.StatusOK, status)
		require.NoError(t, a.Stop(context.WithoutCancel(ctx)))
		goleak.VerifyNone(t, before)
	}
}

func TestRun_UntilTheContextEnds(t *testing.T) {
	before := goleak.IgnoreCurrent()
	var log output
	opts := options(t, filepath.Join(t.TempDir(), "test.db"), &log, handlers.All())
	opts.Demo = 200
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- app.Run(ctx, opts) }()
	look := regexp.MustCompile(`look=http://(127\.0\.0\.1:\d+)/`)
	eventually(t, func() bool { return look.MatchString(log.String()) })
	addr := look.FindStringSubmatch(log.String())[1]
	eventually(t, func() bool { // the demo's questions are there
		_, body := getFrom(t, addr, "/api/feed")
		return strings.Contains(body, `"question_id"`)
	})
	cancel()
	require.NoError(t, <-done)
	require.Contains(t, log.String(), "stopping")
	goleak.VerifyNone(t, before)
}

func TestApp_TwoInOneProcess(t *testing.T) {
	r := newRig(t, handlers.All())
	one, two := r.run(t, handlers.All()), r.run(t, handlers.All())
	require.NotEqual(t, one.Addr(), two.Addr())
	const n = 300
	for i := range n {
		r.publish(t, event.TopicAnswerAdded, strings.ReplaceAll(`{"answer_id":"a#","question_id":"q#","author_id":"ann",`+moment+`}`, "#", string(rune('a'+i%26))+strings.Repeat("x", i/26)))
	}
	require.Empty(t, r.settled(t))
	for _, a := range []*app.App{one, two} {
		var board struct{ Authors []struct{ Answers int } }
		getJSON(t, a, "/api/leaderboard", &board)
		require.Equal(t, n, board.Authors[0].Answers)
		status, body := get(t, a, "/metrics")
		require.Equal(t, http.StatusOK, status)
		require.Contains(t, body, `answerfeed_messages_total{handler="leaderboard",outcome="handled",topic="answer-added"}`)
	}
}

func TestApp_Routes(t *testing.T) {
	p := &probe{script: func(payload string, _ int) error {
		if payload == "bad" {
			return errBoom
		}
		return nil
	}}
	all := []handlers.Handler{p.handler("probe")}
	r := newRig(t, all)
	a := r.run(t, all)
	r.publish(t, "probe", "good", "bad", "good too")
	require.Len(t, r.settled(t), 1)

	var ready struct {
		Ready        bool
		Dependencies map[string]struct {
			Available bool
			Since     time.Time
		}
	}
	getJSON(t, a, "/readyz", &ready)
	require.True(t, ready.Ready)
	require.Len(t, ready.Dependencies, 2)
	for _, name := range []string{"database", "transport"} {
		require.True(t, ready.Dependencies[name].Available)
		require.WithinDuration(t, time.Now(), ready.Dependencies[name].Since, patience)
	}

	var backlog struct {
		Handlers map[string]map[string]any
	}
	getJSON(t, a, "/api/backlog", &backlog)
	figures := map[string]any{"ready": 0.0, "in_flight": 0.0, "pending": 0.0, "delayed": 0.0, "dead": 1.0, "oldest_seconds": 0.0}
	topic := map[string]any{}
	for k, v := range figures {
		topic[k] = v
	}
	figures["topics"] = map[string]any{"probe": topic}
	require.Equal(t, map[string]map[string]any{"probe": figures}, backlog.Handlers)

	status, metrics := get(t, a, "/metrics")
	require.Equal(t, http.StatusOK, status)
	for _, line := range []string{
		`answerfeed_messages_total{handler="probe",outcome="handled",topic="probe"} 2`,
		`answerfeed_messages_total{handler="probe",outcome="dead-letter",topic="probe"} 1`,
		`answerfeed_failed_attempts_total{handler="probe",reason="unknown",topic="probe"} 1`,
		`answerfeed_handle_seconds_count{handler="probe",topic="probe"} 3`,
		`answerfeed_in_flight{handler="probe",topic="probe"} 0`,
		`answerfeed_backlog_messages{handler="probe",state="dead",topic="probe"} 1`,
		`answerfeed_backlog_messages{handler="probe",state="ready",topic="probe"} 0`,
		`answerfeed_backlog_oldest_seconds{handler="probe",topic="probe"} 0`,
		`go_goroutines`, `process_start_time_seconds`,
	} {
		require.Contains(t, metrics, line)
	}
	status, _ = get(t, a, "/api/no-such-thing")
	require.Equal(t, http.StatusNotFound, status)
}

// The queue and the read models may lie in two files.
func TestApp_TwoFiles(t *testing.T) {
	var log output
	all := handlers.All()
	opts := options(t, filepath.Join(t.TempDir(), "queue.db"), &log, all)
	opts.Config.Database.DSN = filepath.Join(t.TempDir(), "models.db")
	opts.Config.Transport.Prefix = "site1_"
	a, err := app.New(t.Context(), opts)
	require.NoError(t, err)
	defer func() { require.NoError(t, a.Stop(context.WithoutCancel(t.Context()))) }()
	require.NoError(t, a.Start(t.Context()))
	client, err := app.Open(t.Context(), opts)
	require.NoError(t, err)
	defer func() { require.NoError(t, client.Close()) }()
	r := &rig{client: client}
	r.publish(t, event.TopicAnswerAdded, `{"answer_id":"a1","question_id":"q1","author_id":"ann",`+moment+`}`, "bad")
	eventually(t, func() bool { pending, dead := r.waiting(t); return pending == 0 && dead == 2 })
	var board struct{ Authors []struct{ Answers int } }
	getJSON(t, a, "/api/leaderboard", &board)
	require.Equal(t, 1, board.Authors[0].Answers)
	require.FileExists(t, opts.Config.Database.DSN)
}

func TestClient_Prune(t *testing.T) {
	all := handlers.All()
	r := newRig(t, all)
	r.publish(t, event.TopicAnswerAdded, "x", "y")
	names, err := r.client.Prune(t.Context(), "leaderboard")
	require.NoError(t, err)
	require.Equal(t, []string{"answer-added.leaderboard", "answer-added.leaderboard.dead", "answer-removed.leaderboard", "answer-removed.leaderboard.dead"}, names)
	backlog, err := r.client.Backlog(t.Context())
	require.NoError(t, err)
	for _, b := range backlog {
		require.Equal(t, "feed", b.Handler)
	}
	names, err = r.client.Prune(t.Context(), "leaderboard")
	require.NoError(t, err)
	require.Empty(t, names)

	// A worker that may not migrate says what it misses.
	opts := options(t, r.path, io.Discard, all)
	opts.Config.Migrate, opts.Config.Log.Level = false, "error"
	opts.Logger = slog.New(slog.DiscardHandler)
	_, err = app.New(t.Context(), opts)
	require.ErrorIs(t, err, transport.ErrNoQueue)
	require.ErrorContains(t, err, ".leaderboard; run `worker migrate`")
	require.NotContains(t, err.Error(), "\n")
}

func TestOptions_Topics(t *testing.T) {
	opts := options(t, "unused.db", io.Discard, handlers.All())
	require.Equal(t, []string{event.TopicAnswerAdded, event.TopicAnswerRemoved, event.TopicQuestionAdded}, opts.Topics())
	require.Equal(t, []config.HandlerDecl{{Name: "feed"}, {Name: "leaderboard"}}, app.Declare(handlers.All()))
}
