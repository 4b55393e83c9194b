package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"math/rand/v2"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/ThreeDotsLabs/watermill"
	"github.com/ThreeDotsLabs/watermill/message"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/answerfeed/answerfeed/app"
	"github.com/answerfeed/answerfeed/app/failure"
	"github.com/answerfeed/answerfeed/config"
	"github.com/answerfeed/answerfeed/handlers"
	"github.com/answerfeed/answerfeed/internal/testserver"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// options are those of a worker with this handler alone, on a new file.
func options(t *testing.T, overrides map[string]any) app.Options {
	t.Helper()
	file := filepath.Join(t.TempDir(), "views.db")
	settings := map[string]any{"transport.sql.dsn": file, "database.dsn": file, "web.listen": "127.0.0.1:0"}
	maps.Copy(settings, overrides)
	hs := []handlers.Handler{Views()}
	loaded, err := config.Load(config.Options{Environ: []string{}, Handlers: app.Declare(hs), Overrides: settings})
	require.NoError(t, err)
	return app.Options{Config: loaded.Config, Handlers: hs, Logger: slog.New(slog.DiscardHandler)}
}

func TestViews_EachViewCountsOnceInWhateverOrder(t *testing.T) {
	for name, ignoreBots := range map[string]bool{"without bots": true, "with bots": false} {
		t.Run(name, func(t *testing.T) {
			opts := options(t, map[string]any{"handlers.views.options.ignore_bots": fmt.Sprint(ignoreBots)})

			want := map[string]int{}
			var msgs []*message.Message
			for n := range 1000 {
				e := QuestionViewed{
					ViewID: fmt.Sprintf("v%d", n), QuestionID: fmt.Sprintf("q%02d", n*n%17),
					Bot: n%10 == 0, OccurredAt: time.Date(2026, 1, 1, 0, 0, n, 0, time.UTC),
				}
				payload, err := json.Marshal(e)
				require.NoError(t, err)
				for range 3 { // as three messages: nothing but the view's id tells that it is one view
					msgs = append(msgs, message.NewMessage(watermill.NewUUID(), payload))
				}
				if !e.Bot || !ignoreBots {
					want[e.QuestionID]++
				}
			}
			rand.Shuffle(len(msgs), func(i, j int) { msgs[i], msgs[j] = msgs[j], msgs[i] })

			handle(t, opts, msgs)

			var out bytes.Buffer
			require.NoError(t, printTop(t.Context(), opts.Config.Database, 100, &out))
			got := map[string]int{}
			for line := range strings.Lines(out.String()) {
				var views int
				var question string
				_, err := fmt.Sscan(line, &views, &question)
				require.NoError(t, err)
				got[question] = views
			}
			require.Equal(t, want, got)
		})
	}
}

// handle publishes the messages to a running App and returns when it has
// worked through them and stopped.
func handle(t *testing.T, opts app.Options, msgs []*message.Message) {
	t.Helper()
	a, err := app.New(t.Context(), opts)
	require.NoError(t, err)
	defer func() { require.NoError(t, a.Stop(t.Context())) }()
	require.NoError(t, a.Start(t.Context()))

	client, err := app.Open(t.Context(), opts)
	require.NoError(t, err)
	defer func() { require.NoError(t, client.Close()) }()
	require.NoError(t, client.Publisher().Publish(TopicQuestionViewed, msgs...))
	require.Eventually(t, func() bool {
		all, err := client.Backlog(t.Context())
		return err == nil && len(all) == 1 && all[0].Ready+all[0].InFlight+all[0].Delayed+all[0].Dead == 0
	}, time.Minute, 5*time.Millisecond)
}

func TestDecode_RefusesWhatBreaksTheContract(t *testing.T) {
	const good = `{"view_id":"v","question_id":"q","occurred_at":"2026-01-02T03:04:05Z"}`
	_, err := Decode([]byte(good))
	require.NoError(t, err)

	tests := map[string]struct {
		payload string
		reason  failure.Reason
	}{
		"no JSON":         {`view`, failure.Malformed},
		"no object":       {`["v"]`, failure.Malformed},
		"null":            {`null`, failure.Invalid},
		"wrong type":      {strings.Replace(good, `"v"`, `7`, 1), failure.Malformed},
		"no time":         {strings.Replace(good, `2026-01-02T03:04:05Z`, `yesterday`, 1), failure.Malformed},
		"invalid UTF-8":   {strings.Replace(good, `"v"`, "\"\xff\"", 1), failure.Malformed},
		"trailing data":   {good + good, failure.Malformed},
		"empty view":      {strings.Replace(good, `"v"`, `""`, 1), failure.Invalid},
		"long question":   {strings.Replace(good, `"q"`, `"`+strings.Repeat("q", 129)+`"`, 1), failure.Invalid},
		"without a time":  {`{"view_id":"v","question_id":"q"}`, failure.Invalid},
		"without a view":  {`{"question_id":"q","occurred_at":"2026-01-02T03:04:05Z"}`, failure.Invalid},
		"empty message":   {``, failure.Malformed},
		"another's event": {`{"answer_id":"a"}`, failure.Invalid},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			_, err := Decode([]byte(test.payload))
			verdict := failure.Classify(err)
			require.NotNil(t, verdict)
			require.Equal(t, failure.KindPermanent, verdict.Kind)
			require.Equal(t, test.reason, verdict.Reason)
		})
	}
}

func TestTop_TellsWhatIsWrong(t *testing.T) {
	require.ErrorContains(t, top(t.Context(), []string{"-config", filepath.Join(t.TempDir(), "no.yaml")}, io.Discard), "no.yaml")
}

// Several workers of the program start at once on an empty database, as a
// deployment does.
func TestViews_OnPostgreSQL(t *testing.T) {
	server, err := testserver.SharedPostgres(t.Context())
	require.NoError(t, err)
	defer func() { require.NoError(t, server.Stop()) }()
	dsn, err := server.Database(t.Context())
	require.NoError(t, err)
	opts := options(t, map[string]any{
		"transport.sql.driver": "postgres", "transport.sql.dsn": dsn, "database.driver": "postgres", "database.dsn": dsn,
	})
	migrated := make(chan error)
	for range 8 {
		go func() {
			client, err := app.Open(t.Context(), opts)
			if err == nil {
				err = client.Close()
			}
			migrated <- err
		}()
	}
	for range 8 {
		require.NoError(t, <-migrated)
	}
	payload := []byte(`{"view_id":"v1","question_id":"q1","occurred_at":"2026-01-02T03:04:05Z"}`)
	handle(t, opts, []*message.Message{message.NewMessage("m1", payload), message.NewMessage("m2", payload)})
	var out bytes.Buffer
	require.NoError(t, printTop(t.Context(), opts.Config.Database, 5, &out))
	require.Equal(t, "     1  q1\n", out.String())
}
