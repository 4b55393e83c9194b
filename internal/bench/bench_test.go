package bench_test

import (
	"context"
	"database/sql"
	"encoding/json"
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/answerfeed/answerfeed/app/database"
	"github.com/answerfeed/answerfeed/internal/bench"
)

// brief is a run that a test has the time for.
func brief(scenario string) bench.Settings {
	return bench.Settings{Scenario: scenario, Messages: 2000, Rate: 400, SteadyFor: 500 * time.Millisecond}
}

// steady is how many events brief publishes at its rate.
const steady = 200

// long is a run that is still at it when a test acts: each event takes a while.
func long() bench.Settings {
	s := brief(bench.Drain)
	s.Messages, s.HandlerDelay = 20_000, 50*time.Millisecond
	return s
}

func TestRun_TellsEverythingAndLeavesNothing(t *testing.T) {
	onEach(t, func(t *testing.T, u user) {
		before := u.has(t)
		report, err := u.bench(t.Context(), brief(""))
		require.NoError(t, err)
		require.Equal(t, before, u.has(t))

		require.Equal(t, bench.Overview, report.Scenario)
		require.EqualValues(t, 2000+steady, report.Effects, "each took effect")
		require.Zero(t, report.Doubled, "and no more than once")
		require.Zero(t, report.Redeliveries)
		require.Zero(t, report.DeadLetters)
		require.Zero(t, report.Left)
		require.InDelta(t, 400, report.SteadyPerSecond, 390, "it cannot be faster")
		saneFigures(t, report)
	})
}

// saneFigures checks what scripts read: names, types, and that no figure is
// left out.
func saneFigures(t *testing.T, report *bench.Report) {
	t.Helper()
	text, err := json.Marshal(report)
	require.NoError(t, err)
	var all map[string]any
	require.NoError(t, json.Unmarshal(text, &all))
	for _, name := range []string{"publish_per_second", "publish_us_per_message", "drain_per_second", "steady_per_second", "cpu_us_per_message", "rss_mb"} {
		require.IsType(t, 0.0, all[name], name)
		require.Positive(t, all[name], name)
	}
	latency, ok := all["latency_ms"].(map[string]any)
	require.True(t, ok)
	last := 0.0
	for _, name := range []string{"p50", "p95", "p99", "max"} {
		require.GreaterOrEqual(t, latency[name], last, name)
		last = latency[name].(float64)
	}
	require.Positive(t, last)
	require.Less(t, last, 60_000.0)
	require.Less(t, all["cpu_us_per_message"], 1e5, "less than a tenth of a second a message")
	require.Less(t, all["rss_mb"], 4096.0)
	settings, ok := all["settings"].(map[string]any)
	require.True(t, ok)
	for _, name := range []string{"transport", "database", "durability", "confirms", "acknowledgement"} {
		require.NotEmpty(t, settings[name], name)
	}
	require.EqualValues(t, 100, settings["window"], "as handlers.feed says")
	require.EqualValues(t, 400, settings["payload_bytes"])
	require.NotEmpty(t, all["steps"])
}

func TestRun_InterruptedItLeavesNothing(t *testing.T) {
	onEach(t, func(t *testing.T, u user) {
		before := u.has(t)
		for _, at := range []string{"making queues", "events a second", "publishing", "draining"} {
			ctx, interrupt := context.WithCancel(t.Context())
			acted := false
			_, err := u.bench(ctx, long(), when(at, func() { acted = true; interrupt() }))
			interrupt()
			require.True(t, acted, at)
			require.ErrorIs(t, err, context.Canceled, at)
			require.ErrorContains(t, err, "interrupted; what was made for the measurement is removed", at)
		}
		require.Equal(t, before, u.has(t))
	})
}

func TestRun_FailedItLeavesNothing(t *testing.T) {
	onEach(t, func(t *testing.T, u user) {
		before := u.has(t)
		var id string
		_, err := u.bench(t.Context(), long(), when("draining", func() {
			db := u.database(t)
			defer db.Close()
			require.NoError(t, db.Update(t.Context(), database.Durable, func(ctx context.Context, tx *sql.Tx) error {
				_, err := tx.ExecContext(ctx, fmt.Sprintf(`DROP TABLE "%sbench-%s-1-questions_1"`, u.config.Transport.Prefix, id))
				return err
			}))
		}), func(o *bench.Options) { o.Begun = func(told string) { id = told } })
		require.ErrorContains(t, err, "measuring drain: ")
		require.ErrorContains(t, err, "raising counters: ", "the first reason")
		require.NotContains(t, err.Error(), "not all", "it is all removed")
		require.Equal(t, before, u.has(t))
	})
}

func TestRun_WhatCannotBeRemovedIsToldAndRemovedLater(t *testing.T) {
	u := onRabbit(t)
	before := u.has(t)
	ctx, interrupt := context.WithCancel(t.Context())
	defer interrupt()
	var id string
	_, err := u.bench(ctx, long(), when("draining", func() {
		u.rabbit.Kill()
		interrupt()
	}), func(o *bench.Options) { o.Begun = func(told string) { id = told } })
	require.ErrorContains(t, err, "not all that was made for the measurement is removed")
	require.ErrorContains(t, err, "run `worker bench --clean "+id+"`")
	require.NoError(t, u.rabbit.Start(t.Context()))
	require.NotEqual(t, before, u.has(t))

	require.NoError(t, bench.Clean(t.Context(), u.config, id, quiet()))
	require.Equal(t, before, u.has(t))
	require.NoError(t, bench.Clean(t.Context(), u.config, id, quiet()), "what is gone is no error")
}

func TestRun_PoisonReachesNoDesk(t *testing.T) {
	onEach(t, func(t *testing.T, u user) {
		before := u.has(t)
		s := brief(bench.Poison)
		s.PoisonPercent = 10
		report, err := u.bench(t.Context(), s)
		require.NoError(t, err)
		require.Equal(t, before, u.has(t), "no letter on the desk, none in a queue")
		require.Len(t, report.Steps, 2)
		require.Zero(t, report.Steps[0].DeadLetters)
		require.EqualValues(t, 2000+steady, report.Steps[0].Effects)
		require.EqualValues(t, (2000+steady)/10, report.DeadLetters)
		require.EqualValues(t, (2000+steady)*9/10, report.Effects)
		require.Zero(t, report.Doubled)
		require.Zero(t, report.Redeliveries, "poison is not tried again")
		saneFigures(t, report)
	})
}

func TestRun_FanOutHasEachHandlerDoAll(t *testing.T) {
	onEach(t, func(t *testing.T, u user) {
		before := u.has(t)
		s := brief(bench.FanOut)
		s.Messages = 500
		report, err := u.bench(t.Context(), s)
		require.NoError(t, err)
		require.Equal(t, before, u.has(t))
		require.Len(t, report.Steps, 3)
		for i, handlers := range []int{1, 2, 5} {
			step := report.Steps[i]
			require.Equal(t, handlers, step.Handlers)
			require.EqualValues(t, (500+steady)*handlers, step.Effects)
			require.Zero(t, step.Doubled)
			require.Positive(t, step.PublishMicros, "what the producer pays")
			require.InEpsilon(t, 1e6/step.PublishPerSecond, step.PublishMicros, 0.05)
		}
		saneFigures(t, report)
	})
}

func TestRun_BacklogGrows(t *testing.T) {
	onEach(t, func(t *testing.T, u user) {
		before := u.has(t)
		s := brief(bench.Backlog)
		s.Messages, s.Backlog = 500, 3000
		report, err := u.bench(t.Context(), s)
		require.NoError(t, err)
		require.Equal(t, before, u.has(t))
		require.Equal(t, 3000, report.Waiting)
		require.EqualValues(t, 3000+steady, report.Effects+report.Left, "nothing is lost")
		require.GreaterOrEqual(t, report.Effects, int64(500+steady))
		require.Positive(t, report.Left, "the rest was not what was asked")
		saneFigures(t, report)
	})
}

func TestRun_SteadyWithABacklogBefore(t *testing.T) {
	u := onSQLite(t)
	before := u.has(t)
	s := brief(bench.Steady)
	s.Messages, s.Backlog = 300, 1000
	report, err := u.bench(t.Context(), s)
	require.NoError(t, err)
	require.Equal(t, before, u.has(t))
	require.Equal(t, 300, report.Messages)
	require.EqualValues(t, 1300, report.Effects)
	require.Equal(t, report.SteadyPerSecond, report.PublishPerSecond)
	saneFigures(t, report)
}

func TestRun_SlowHandler(t *testing.T) {
	u := onSQLite(t)
	s := brief(bench.Slow)
	report, err := u.bench(t.Context(), s)
	require.NoError(t, err)
	require.Len(t, report.Steps, 2)
	require.LessOrEqual(t, report.DrainPerSecond, 1000.0, "a window of 100, each for 100 ms")
	require.GreaterOrEqual(t, report.Latency.P50, 100.0)
	require.EqualValues(t, 2000+steady, report.Effects)
}

func TestRun_LargePayload(t *testing.T) {
	u := onSQLite(t)
	s := brief(bench.Drain)
	s.Messages, s.Payload, s.Rate = 50, 300_000, 50
	report, err := u.bench(t.Context(), s)
	require.NoError(t, err)
	require.EqualValues(t, 50+25, report.Effects)
	require.Equal(t, 13, report.Settings.EachCall, "4 MiB a call")
}

func TestRun_AtMostOnce(t *testing.T) {
	u := onSQLite(t)
	feed := u.config.Handlers["feed"]
	feed.Delivery = "at-most-once"
	u.config.Handlers["feed"] = feed
	report, err := u.bench(t.Context(), brief(bench.Drain))
	require.NoError(t, err)
	require.Contains(t, report.Settings.Acknowledgement, "at-most-once")
	require.EqualValues(t, 2000+steady, report.Effects, "without a crash nothing is lost")
}

// Where the configuration leaves migrating to the verb, the bench migrates
// nothing but what is its own.
func TestRun_WithoutMigrating(t *testing.T) {
	u := onSQLite(t)
	u.config.Migrate = false
	_, err := u.bench(t.Context(), brief(""))
	require.NoError(t, err)

	u.config.Database.DSN = t.TempDir() + "/new.db"
	_, err = u.bench(t.Context(), brief(""))
	require.ErrorIs(t, err, database.ErrSchema)
	require.ErrorContains(t, err, "worker migrate")
	db := u.database(t)
	defer db.Close()
	require.Empty(t, names(t, db, `SELECT name FROM sqlite_master`))
}

func TestRun_RefusesSettings(t *testing.T) {
	u := user{}
	for says, s := range map[string]bench.Settings{
		"--scenario all: there is overview": {Scenario: "all"},
		"--messages -1":                     {Messages: -1},
		"--rate 0.5: it must be 1 to":       {Rate: 0.5},
		"--payload 255: it must be 256":     {Payload: 255},
		"--handler-delay 11s":               {HandlerDelay: 11 * time.Second},
		"--backlog -1":                      {Backlog: -1},
		"--poison goes with":                {PoisonPercent: 1},
	} {
		_, err := u.bench(t.Context(), s)
		require.ErrorContains(t, err, says)
	}
	require.ErrorContains(t, bench.Clean(t.Context(), u.config, "x", nil), "--clean")
}
