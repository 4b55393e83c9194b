package main

import (
	"context"
	"crypto/rand"
	"fmt"
	"log/slog"
	"maps"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/answerfeed/answerfeed/app"
	"github.com/answerfeed/answerfeed/config"
	"github.com/answerfeed/answerfeed/handlers"
	"github.com/answerfeed/answerfeed/internal/testserver"
)

// The servers of all tests, started when the first asks for them.
var (
	postgres = sync.OnceValues(func() (*testserver.Postgres, error) { return testserver.SharedPostgres(context.Background()) })
	broker   = sync.OnceValues(func() (*testserver.RabbitMQ, error) { return testserver.SharedRabbitMQ(context.Background()) })
)

func TestMain(m *testing.M) {
	code := m.Run()
	if p, err := postgres(); err == nil {
		_ = p.Stop()
	}
	if b, err := broker(); err == nil {
		_ = b.Stop()
	}
	if err := goleak.Find(); code == 0 && err != nil {
		fmt.Fprintln(os.Stderr, err)
		code = 1
	}
	os.Exit(code)
}

// onBoth runs a test with the embedded default, and with what is configured for
// PostgreSQL and RabbitMQ.
func onBoth(t *testing.T, test func(t *testing.T, cfg config.Config)) {
	t.Run("SQLite", func(t *testing.T) { test(t, embedded(t)) })
	t.Run("PostgreSQL and RabbitMQ", func(t *testing.T) {
		p, err := postgres()
		require.NoError(t, err)
		dsn, err := p.Database(t.Context())
		require.NoError(t, err)
		b, err := broker()
		require.NoError(t, err)
		test(t, configured(t, map[string]any{
			"database.driver": "postgres", "database.dsn": dsn,
			"transport.kind": "amqp", "transport.amqp.url": b.URL, "transport.prefix": strings.ToLower(rand.Text()[:10]) + "-",
		}))
	})
}

// embedded is the default, in a folder of the test's.
func embedded(t *testing.T) config.Config {
	t.Helper()
	file := filepath.Join(t.TempDir(), "site.db")
	return configured(t, map[string]any{"database.dsn": file, "transport.sql.dsn": file})
}

func configured(t *testing.T, settings map[string]any) config.Config {
	t.Helper()
	all := map[string]any{"web.listen": "127.0.0.1:0"}
	maps.Copy(all, settings)
	declared := app.Declare(append(handlers.All(), tellers(caller{urls: make([]string, maxSubscribers)})...))
	loaded, err := config.Load(config.Options{Environ: []string{}, Handlers: declared, Overrides: all})
	require.NoError(t, err)
	return loaded.Config
}

// quiet is a logger of a test that does not look at lines.
func quiet() *slog.Logger { return slog.New(slog.DiscardHandler) }
