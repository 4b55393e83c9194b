package app_test

import (
	"context"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/ThreeDotsLabs/watermill/message"
	"github.com/stretchr/testify/require"

	"github.com/answerfeed/answerfeed/app"
	"github.com/answerfeed/answerfeed/app/database"
	"github.com/answerfeed/answerfeed/handlers"
)

// A worker whose SQLite file is taken away confirms nothing more, is not ready
// any more, and ends; the next one begins with what is there.
func TestApp_FileTakenAway_EndsIt(t *testing.T) {
	for name, of := range map[string]func(app.Options) string{
		"one file":     func(o app.Options) string { return o.Config.Database.DSN },
		"the queues'":  func(o app.Options) string { return o.Config.Transport.SQL.DSN },
		"read models'": func(o app.Options) string { return o.Config.Database.DSN },
	} {
		t.Run(name, func(t *testing.T) {
			var log output
			p := &probe{script: func(string, int) error { return nil }}
			all := []handlers.Handler{p.handler("probe")}
			opts := options(t, filepath.Join(t.TempDir(), "test.db"), &log, all)
			if name != "one file" {
				opts.Config.Transport.SQL.DSN += ".queues"
			}
			a, err := app.New(t.Context(), opts)
			require.NoError(t, err)
			t.Cleanup(func() { require.NoError(t, a.Stop(context.WithoutCancel(t.Context()))) })
			require.NoError(t, a.Start(t.Context()))
			client, err := app.Open(t.Context(), processBeside(t, opts))
			require.NoError(t, err)
			t.Cleanup(func() { require.NoError(t, client.Close()) })
			publish := func() error {
				m := message.NewMessage("", []byte("x"))
				m.SetContext(t.Context())
				return client.Publisher().Publish("probe", m)
			}
			require.NoError(t, publish())
			status, _ := get(t, a, "/readyz")
			require.Equal(t, http.StatusOK, status)

			path := of(opts)
			require.NoError(t, os.Rename(path, path+".away"))
			if path == opts.Config.Transport.SQL.DSN {
				require.ErrorIs(t, publish(), database.ErrFileGone)
			}
			err = a.Wait(t.Context())
			require.ErrorIs(t, err, database.ErrFileGone)
			require.ErrorContains(t, err, path+" was removed while the worker ran")
			status, _ = get(t, a, "/readyz")
			require.Equal(t, http.StatusServiceUnavailable, status)
			require.Equal(t, 1, strings.Count(log.String(), "the worker ends"))
		})
	}
}

// processBeside are the same settings for a process beside the worker.
func processBeside(t *testing.T, o app.Options) app.Options {
	t.Helper()
	beside := options(t, o.Config.Database.DSN, io.Discard, o.Handlers)
	beside.Config = o.Config
	return beside
}

// A relay alone ends as well.
func TestRelay_FileTakenAway_EndsIt(t *testing.T) {
	path := filepath.Join(t.TempDir(), "test.db")
	var log output
	ended, opts := make(chan error, 1), options(t, path, &log, handlers.All())
	go func() { ended <- app.Relay(t.Context(), opts) }()
	eventually(t, func() bool { return strings.Contains(log.String(), "the relay is running") })
	require.NoError(t, os.Remove(path))
	require.ErrorIs(t, <-ended, database.ErrFileGone)
}
