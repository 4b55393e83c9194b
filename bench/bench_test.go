package main

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
)

// The peers are this program again.
func TestMain(m *testing.M) {
	if job := os.Getenv(jobVariable); job != "" {
		if err := child(context.Background(), job, os.Stdin, os.Stdout); err != nil {
			_, _ = io.WriteString(os.Stderr, err.Error()+"\n")
			os.Exit(1)
		}
		os.Exit(0)
	}
	os.Exit(m.Run())
}

func TestRun_MeasuresEverything(t *testing.T) {
	report := filepath.Join(t.TempDir(), "report.md")
	var out bytes.Buffer
	args := []string{"-messages", "1000", "-rounds", "2", "-latency-seconds", "1", "-o", "json", "-report", report}
	require.NoError(t, run(t.Context(), args, &out, io.Discard))

	var r result
	require.NoError(t, json.Unmarshal(out.Bytes(), &r))
	require.Len(t, r.Series, len(meanings()), "every figure was measured")
	for i, m := range meanings() {
		s := r.Series[i]
		require.Equal(t, m.name, s.Name)
		require.Len(t, s.Rounds, 2)
		if s.Name != "machine-busy" {
			require.Positive(t, s.Least)
		}
		require.LessOrEqual(t, s.Least, s.Median)
		require.LessOrEqual(t, s.Median, s.Most)
	}
	require.Len(t, r.Targets, 8)

	text, err := os.ReadFile(report)
	require.NoError(t, err)
	for _, what := range []string{"drain: worker to bare loop", "1,000 answer-added events", "go run . -messages 1000", r.Machine.RabbitMQ, r.Machine.Go} {
		require.Contains(t, string(text), what)
	}
	require.Contains(t, r.table(), "two workers to one")
}

func TestParse_RefusesWhatItCannotMeasure(t *testing.T) {
	for name, args := range map[string][]string{
		"an unknown peer":   {"-peers", "worker,celery"},
		"no messages":       {"-messages", "0"},
		"no round":          {"-rounds", "0"},
		"an unknown format": {"-o", "xml"},
		"an argument":       {"worker"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := parse(args, io.Discard)
			require.Error(t, err)
		})
	}
}

func TestFigure(t *testing.T) {
	for want, v := range map[string]float64{"0.61": 0.612, "12.3": 12.34, "120": 120.4, "1,000": 1000, "53,012": 53012, "999,999": 999999} {
		require.Equal(t, want, figure(v))
	}
}

func TestSpread(t *testing.T) {
	median, least, most := spread([]float64{3, 1, 2})
	require.Equal(t, []float64{2, 1, 3}, []float64{median, least, most})
	median, _, _ = spread([]float64{4, 1, 2, 3})
	require.Equal(t, 2.5, median)
}
