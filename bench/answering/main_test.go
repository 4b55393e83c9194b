package main

import (
	"image/png"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// measuredJSON is the form in which examples/answering writes it.
const measuredJSON = `{"where": "stored in SQLite", "plan": {"answers": 10}, "measured": [
	{"mode": "sync", "subscribers": 2, "slow": 0, "delay_ns": 0, "down": false, "rounds": [{"answers": 10, "accepted": 10, "p50_ns": 1000000, "p99_ns": 2000000}]},
	{"mode": "async", "subscribers": 2, "slow": 0, "delay_ns": 0, "down": false, "rounds": [{"answers": 10, "accepted": 10, "p50_ns": 1000000, "p99_ns": 2000000}]},
	{"mode": "sync", "subscribers": 2, "slow": 2, "delay_ns": 2000000000, "down": false, "rounds": [{"answers": 10, "accepted": 10, "p50_ns": 4000000000, "p99_ns": 4000000000}]},
	{"mode": "async", "subscribers": 2, "slow": 2, "delay_ns": 2000000000, "down": false, "rounds": [{"answers": 10, "accepted": 10, "p50_ns": 1000000, "p99_ns": 1000000}]},
	{"mode": "sync", "subscribers": 2, "slow": 0, "delay_ns": 0, "down": true, "rounds": [{"answers": 10, "accepted": 0, "p50_ns": 500000, "p99_ns": 900000}]}]}`

func TestRun_DrawsAChart(t *testing.T) {
	file := filepath.Join(t.TempDir(), "chart.png")
	require.NoError(t, run([]string{file}, strings.NewReader(measuredJSON)))
	chart, err := os.Open(file)
	require.NoError(t, err)
	defer chart.Close()
	config, err := png.DecodeConfig(chart)
	require.NoError(t, err)
	require.Greater(t, config.Width, config.Height)
}

func TestRun_TellsWhatIsWrong(t *testing.T) {
	for name, test := range map[string]struct {
		args []string
		in   string
		want string
	}{
		"no file":    {nil, measuredJSON, "usage"},
		"no result":  {[]string{"chart.png"}, "{}", "nothing in it"},
		"no JSON":    {[]string{"chart.png"}, "x", "reading the result"},
		"no such":    {[]string{filepath.Join(t.TempDir(), "no", "chart.png")}, measuredJSON, "no such file"},
		"wrong kind": {[]string{filepath.Join(t.TempDir(), "chart.odd")}, measuredJSON, "odd"},
	} {
		t.Run(name, func(t *testing.T) {
			require.ErrorContains(t, run(test.args, strings.NewReader(test.in)), test.want)
		})
	}
}

func TestMeasured(t *testing.T) {
	m := measured{Subscribers: 5, Slow: 5, Delay: 200 * time.Millisecond}
	for _, p99 := range []time.Duration{30e6, 10e6, 20e6} {
		m.Rounds = append(m.Rounds, round{Answers: 4, Accepted: 3, P50: p99 / 1000, P99: p99})
	}
	require.Equal(t, 20.0, m.p99())
	require.InDelta(t, 0.02, m.p50(), 1e-9)
	require.Equal(t, 0.75, m.accepted())
	require.Equal(t, "5: each 200ms", m.label())
}
