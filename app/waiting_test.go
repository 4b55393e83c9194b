package app_test

import (
	"log/slog"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/answerfeed/answerfeed/app"
	"github.com/answerfeed/answerfeed/app/testserver"
	"github.com/answerfeed/answerfeed/config"
	"github.com/answerfeed/answerfeed/handlers"
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
