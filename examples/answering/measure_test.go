package main

import (
	"bytes"
	"encoding/json"
	"io"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/answerfeed/answerfeed/config"
)

// What does not depend on how fast the machine is: sync waits for the sum of the
// delays, accepts nothing while the feed is down, and tells the others of what
// it does not store. async accepts everything, and everybody hears of it.
func TestMeasure_WhatEachModePromises(t *testing.T) {
	const delay = 30 * time.Millisecond
	onBoth(t, func(t *testing.T, cfg config.Config) {
		subscribers := []int{1, 5}
		if cfg.Transport.Kind == config.KindAMQP {
			subscribers = []int{2} // to make and remove their queues takes a second
		}
		p := plan{
			Cases:   cases(subscribers, []time.Duration{delay}),
			Answers: 10, Within: time.Minute, Authors: 2, Pause: time.Millisecond, Rounds: 1,
		}
		r, err := measure(t.Context(), cfg, p, io.Discard)
		require.NoError(t, err)
		require.Len(t, r.Measured, 2*len(p.Cases))
		for _, m := range r.Measured {
			f, name := m.Rounds[0], m.Mode+", "+m.String()
			require.Equal(t, p.Answers, f.Answers, name)
			require.Zero(t, f.Missing, "%s: an accepted answer was not heard of", name)
			switch {
			case m.Mode == modeAsync:
				require.Equal(t, p.Answers, f.Accepted, name)
				require.Zero(t, f.Ghosts, name)
				require.Equal(t, "100 %", m.success())
			case m.Down:
				require.Zero(t, f.Accepted, name)
				if m.Subscribers > 1 {
					require.Equal(t, p.Answers, f.Ghosts, "%s: the others are called before the feed", name)
				}
				require.Equal(t, "0 %", m.success())
			default:
				require.Equal(t, p.Answers, f.Accepted, name)
				sum := time.Duration(m.Slow) * m.Delay
				require.GreaterOrEqual(t, f.P50, sum, name)
				require.GreaterOrEqual(t, f.P99, sum, name)
			}
		}
	})
}

// However slow a subscriber is, async does not wait for it: here it takes an
// hour, until it is started anew.
func TestAsync_WaitsForNobody(t *testing.T) {
	onBoth(t, func(t *testing.T, cfg config.Config) {
		var end ending
		defer func() { require.NoError(t, end.all()) }()
		called, err := startServices(2, &end)
		require.NoError(t, err)
		c := newCaller(called.urls())
		end.then(func() error { c.close(); return nil })
		require.NoError(t, startWorker(t.Context(), cfg, c, &end))
		db, err := openDatabase(t.Context(), cfg)
		require.NoError(t, err)
		end.then(db.Close)
		front, err := listen("127.0.0.1:0", (&site{db, throughOutbox, quiet()}).routes())
		require.NoError(t, err)
		end.then(front.stop)
		l := newLoad(front.url(), plan{Answers: 50, Within: time.Minute, Authors: 2})
		end.then(func() error { l.client.CloseIdleConnections(); return nil })
		require.NoError(t, l.ask(t.Context()))

		called.feed().slow(time.Hour)
		require.NoError(t, l.answer(t.Context()))
		require.Len(t, l.accepted, 50)
		heard, _ := called.feed().has(l.accepted)
		require.Zero(t, heard)

		called.feed().slow(0)
		require.NoError(t, called.feed().server.kill())
		require.NoError(t, called.heal())
		_, err = called.caughtUp(t.Context(), modeAsync, l.accepted)
		require.NoError(t, err)
		missing, ghosts := called.compare(l.accepted)
		require.Zero(t, missing)
		require.Zero(t, ghosts)
	})
}

func TestMeasureAndTell(t *testing.T) {
	p := plan{Cases: cases([]int{1}, nil), Answers: 3, Within: time.Minute, Authors: 1, Rounds: 2}
	cfg := embedded(t)
	report := filepath.Join(t.TempDir(), "report.md")
	require.NoError(t, os.WriteFile(report, []byte("before\n<!-- measured: stored in SQLite, events through SQLite -->\nold\n<!-- end -->\nafter\n"), 0o600))
	var out bytes.Buffer
	require.NoError(t, measureAndTell(t.Context(), cfg, p, "json", report, &out, io.Discard))

	var r result
	require.NoError(t, json.Unmarshal(out.Bytes(), &r))
	require.Equal(t, "stored in SQLite, events through SQLite", r.Where)
	require.Len(t, r.Measured, 4)
	for _, m := range r.Measured {
		require.Len(t, m.Rounds, 2)
		require.Positive(t, m.P99Ratio)
	}
	require.NoFileExists(t, cfg.Database.DSN, "the user's own file is left alone")

	text, err := os.ReadFile(report)
	require.NoError(t, err)
	r.Plan.Cases = p.Cases
	require.Contains(t, string(text), r.table())
	require.Contains(t, string(text), "answer 3 times")
	require.NotContains(t, string(text), "old")
	require.Regexp(t, `(?s)^before\n.*\nafter\n$`, string(text))
	require.NoError(t, r.into(report), "a second time")
	require.ErrorContains(t, (&result{Where: "elsewhere"}).into(report), "elsewhere")
}

func TestResult_MediansAndRatiosWithinARound(t *testing.T) {
	var r result
	well, down := scenario{Subscribers: 2}, scenario{Subscribers: 2, Down: true}
	for _, p99 := range [][2]time.Duration{{10, 20}, {100, 110}, {40, 20}} {
		r.add(modeAsync, well, figures{Answers: 4, Accepted: 4, P99: p99[0]})
		r.add(modeAsync, down, figures{Answers: 4, Accepted: 3, P99: p99[1], P50: 2 * p99[1]})
	}
	m := r.find(modeAsync, down)
	require.Equal(t, time.Duration(20), m.p99())
	require.Equal(t, time.Duration(40), m.p50())
	require.Equal(t, 1.1, m.P99Ratio)
	require.Equal(t, "75 %", m.success())
	require.Equal(t, 1.0, r.find(modeAsync, well).P99Ratio)
	require.Nil(t, r.find(modeSync, well))
}

func TestPercentile(t *testing.T) {
	hundred := make([]time.Duration, 100)
	for i := range hundred {
		hundred[i] = time.Duration(i + 1)
	}
	for name, test := range map[string]struct {
		of   []time.Duration
		want [2]time.Duration
	}{
		"none": {nil, [2]time.Duration{0, 0}}, "one": {hundred[:1], [2]time.Duration{1, 1}},
		"two": {hundred[:2], [2]time.Duration{1, 2}}, "hundred": {hundred, [2]time.Duration{50, 99}},
	} {
		t.Run(name, func(t *testing.T) {
			require.Equal(t, test.want, [2]time.Duration{percentile(test.of, 50), percentile(test.of, 99)})
		})
	}
}

func TestShort(t *testing.T) {
	for want, d := range map[string]time.Duration{
		"0.4 ms": 400 * time.Microsecond, "15 ms": 15 * time.Millisecond, "2.01 s": 2010 * time.Millisecond, "10.0 s": 10 * time.Second,
	} {
		require.Equal(t, want, short(d))
	}
}
