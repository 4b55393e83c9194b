package main

import (
	"bytes"
	"context"
	"encoding/json"
	"image/png"
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
	folder := t.TempDir()
	var out bytes.Buffer
	args := []string{"-messages", "1000", "-waiting", "5000", "-rounds", "2", "-latency-seconds", "1", "-o", "json", "-report", folder}
	require.NoError(t, run(t.Context(), args, &out, io.Discard))

	var r result
	require.NoError(t, json.Unmarshal(out.Bytes(), &r))
	missing := 0
	for _, m := range meanings() {
		s := r.find(m.name)
		if m.name == peerCelery && s == nil {
			require.Contains(t, r.Skipped[0], "Celery was not measured")
			missing++
			continue
		}
		require.NotNil(t, s, m.name)
		require.NotEmpty(t, s.Rounds)
		if s.Unit == perSec || s.Unit == ms || s.Unit == mb {
			require.Positive(t, s.Least, m.name)
		}
		require.LessOrEqual(t, s.Least, s.Median)
		require.LessOrEqual(t, s.Median, s.Most)
	}
	require.Len(t, r.Targets, 17-missing)

	for file, said := range map[string][]string{
		"amqp.md":     {"drain: worker to bare loop", "1,000 answer-added events", "go run . -messages 1000", r.Machine.RabbitMQ, r.Machine.Go},
		"postgres.md": {"drain: worker on PostgreSQL to River", "5,000", r.Machine.PostgreSQL, "synchronous_commit"},
	} {
		text, err := os.ReadFile(filepath.Join(folder, file))
		require.NoError(t, err)
		for _, what := range said {
			require.Contains(t, string(text), what)
		}
	}
	picture, err := os.Open(filepath.Join(folder, chartFile))
	require.NoError(t, err)
	defer picture.Close()
	_, err = png.Decode(picture)
	require.NoError(t, err)
	require.Contains(t, r.table(), "two workers to one")
}

func TestRun_MeasuresOnSQLite(t *testing.T) {
	var out bytes.Buffer
	args := []string{"-database", "sqlite", "-messages", "1000", "-rounds", "1", "-latency-seconds", "1", "-peers", "worker,bare,celery,latency,scale"}
	require.NoError(t, run(t.Context(), args, &out, io.Discard))
	require.Contains(t, out.String(), "drain: worker to bare loop")
	require.Contains(t, out.String(), "Celery was not measured")
}

func TestParse_RefusesWhatItCannotMeasure(t *testing.T) {
	for name, args := range map[string][]string{
		"an unknown peer":        {"-peers", "worker,sidekiq"},
		"a peer of elsewhere":    {"-transport", "amqp", "-peers", "river"},
		"an unknown transport":   {"-transport", "kafka"},
		"an unknown database":    {"-database", "mysql"},
		"a transport of no file": {"-transport", "sql", "-database", "sqlite"},
		"no messages":            {"-messages", "0"},
		"nothing waiting":        {"-waiting", "0"},
		"no round":               {"-rounds", "0"},
		"an unknown format":      {"-o", "xml"},
		"an argument":            {"worker"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := parse(args, io.Discard)
			require.Error(t, err)
		})
	}
}

func TestFigure(t *testing.T) {
	for want, v := range map[string]float64{"0.61": 0.612, "12.3": 12.34, "120": 120.4, "1,000": 1000, "53,012": 53012, "999,999": 999999, "1,000,000": 1e6} {
		require.Equal(t, want, figure(v))
	}
}

func TestSpread(t *testing.T) {
	median, least, most := spread([]float64{3, 1, 2})
	require.Equal(t, []float64{2, 1, 3}, []float64{median, least, most})
	median, _, _ = spread([]float64{4, 1, 2, 3})
	require.Equal(t, 2.5, median)
}
