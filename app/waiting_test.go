package app_test

import (
	"context"
	"io"
	"log/slog"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/ThreeDotsLabs/watermill/message"
	"github.com/stretchr/testify/require"

	"github.com/answerfeed/answerfeed/app"
	"github.com/answerfeed/answerfeed/config"
	"github.com/answerfeed/answerfeed/handlers"
	"github.com/answerfeed/answerfeed/internal/testserver"
)

// onPostgres are the options of a worker whose queues and tables are there.
func onPostgres(t *testing.T, dsn string, log *output) app.Options {
	t.Helper()
	all := handlers.All()
	loaded, err := config.Load(config.Options{Environ: []string{}, Handlers: app.Declare(all), Overrides: map[string]any{
		"transport.sql.driver": "postgres", "transport.sql.dsn": dsn, "database.driver": "postgres", "database.dsn": dsn,
		"web.listen": "127.0.0.1:0", "database.writers": 2, "database.readers": 2, "transport.sql.writers": 2, "transport.sql.readers": 2,
	}})
	require.NoError(t, err)
	return app.Options{Config: loaded.Config, Handlers: all, Logger: slog.New(slog.NewTextHandler(log, nil))}
}

// A start finds no server, says once that it waits, and goes on when there is
// one; one that refuses it is not waited for.
func TestNew_WaitsForADatabaseThatIsAway(t *testing.T) {
	server, err := testserver.StartPostgres(t.Context(), "fsync = off")
	require.NoError(t, err)
	defer func() { require.NoError(t, server.Stop()) }()
	dsn, err := server.Database(t.Context())
	require.NoError(t, err)

	var log output
	server.Kill()
	opts := onPostgres(t, dsn, &log)
	started := make(chan error, 1)
	go func() {
		a, err := app.New(t.Context(), opts)
		if err == nil {
			err = a.Stop(t.Context())
		}
		started <- err
	}()
	require.Eventually(t, func() bool { return strings.Contains(log.String(), "the database is away; waiting for it") }, patience, 5*time.Millisecond)
	require.NoError(t, server.Start(t.Context()))
	require.NoError(t, <-started)
	require.Equal(t, 1, strings.Count(log.String(), "the database is away"))

	// What waiting does not mend.
	u, err := url.Parse(dsn)
	require.NoError(t, err)
	u.Path = "/none"
	began := time.Now()
	_, err = app.Open(t.Context(), onPostgres(t, u.String(), &log))
	require.ErrorContains(t, err, "no such database")
	require.Less(t, time.Since(began), 10*time.Second)
}

// The figures of the backlog stay while the database is away, and tell how old
// they are.
func TestMetrics_KeepTheLastBacklogWhileTheDatabaseIsAway(t *testing.T) {
	server, err := testserver.StartPostgres(t.Context(), "fsync = off")
	require.NoError(t, err)
	defer func() { require.NoError(t, server.Stop()) }()
	dsn, err := server.Database(t.Context())
	require.NoError(t, err)
	var log output
	opts := onPostgres(t, dsn, &log)
	for name, h := range opts.Config.Handlers {
		h.Enabled = false
		opts.Config.Handlers[name] = h
	}
	a, err := app.New(t.Context(), opts)
	require.NoError(t, err)
	defer func() { _ = a.Stop(context.WithoutCancel(t.Context())) }()
	require.NoError(t, a.Start(t.Context()))
	client, err := app.Open(t.Context(), opts)
	require.NoError(t, err)
	require.NoError(t, client.Publisher().Publish("answer-added", message.NewMessage("m1", []byte("{}"))))
	require.NoError(t, client.Close())

	const waits, fresh = `answerfeed_backlog_messages{handler="feed",state="ready",topic="answer-added"} 1`, "answerfeed_backlog_age_seconds{source=\"transport\"} 0\n"
	text := scrape(t, a.Addr())
	require.Contains(t, text, waits)
	require.Contains(t, text, fresh)
	require.Contains(t, text, `answerfeed_outbox_age_seconds 0`)
	server.Kill()
	text = scrape(t, a.Addr())
	require.Contains(t, text, waits)
	require.NotContains(t, text, fresh)
	require.Contains(t, text, `answerfeed_backlog_age_seconds{source="database"}`)
	require.NotContains(t, text, `answerfeed_outbox_age_seconds 0`+"\n")
	require.Contains(t, text, `answerfeed_outbox_messages{state="fresh"} 0`)
	require.NoError(t, server.Start(t.Context()))
	require.Eventually(t, func() bool { return strings.Contains(scrape(t, a.Addr()), fresh) }, patience, 50*time.Millisecond)
}

func scrape(t *testing.T, address string) string {
	t.Helper()
	client := http.Client{Transport: &http.Transport{DisableKeepAlives: true}, Timeout: 10 * time.Second}
	response, err := client.Get("http://" + address + "/metrics")
	require.NoError(t, err)
	defer response.Body.Close()
	require.Equal(t, http.StatusOK, response.StatusCode)
	text, err := io.ReadAll(response.Body)
	require.NoError(t, err)
	return string(text)
}
