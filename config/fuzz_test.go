package config

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// Whatever a file holds, loading it ends in problems that say where, or in a configuration that survives being
// shown and loaded again.
func FuzzFile(f *testing.F) {
	files, err := filepath.Glob("testdata/*.yaml")
	require.NoError(f, err)
	for _, file := range append(files, "samples/worker.sqlite.yaml") {
		data, err := os.ReadFile(file)
		require.NoError(f, err)
		f.Add(data)
	}
	f.Add([]byte("\ufeffweb:\r\n  listen: 127.0.0.1:81\r\n"))
	f.Add([]byte("---\n# nothing\n...\n"))
	f.Add([]byte("a: &a [*a]"))
	f.Add([]byte("&a : *a"))
	f.Add([]byte("handlers: {views: {options: {names: &n [a, b], targets: &t [{url: x}, {url: y}]}}}"))
	f.Add([]byte(strings.Repeat("[", 20_000)))
	f.Add([]byte("%YAML 1.1\n%TAG ! tag:x,2000:\n---\nweb: !y {listen: !!str :80}\n"))

	type target struct {
		URL string `yaml:"url" secret:"dsn"`
	}
	type views struct {
		Window  time.Duration `yaml:"window"`
		Weight  float64       `yaml:"weight"`
		Tags    map[string]int8
		Targets []target `yaml:"targets"`
		Day     time.Time
		Names   []string
		Key     string `yaml:"key" secret:"all"`
	}
	o := Options{Environ: []string{}, Handlers: []HandlerDecl{
		{Name: "feed"}, {Name: "leaderboard"}, {Name: "question-views", Options: &views{}},
	}}
	f.Fuzz(func(t *testing.T, data []byte) {
		loaded, err := load(o, "worker.yaml", data, nil)
		if err != nil {
			var problems Problems
			require.ErrorAs(t, err, &problems)
			require.NotEmpty(t, problems)
			for _, p := range problems {
				require.Equal(t, "worker.yaml", p.File)
				require.Positive(t, p.Line)
				require.NotEmpty(t, p.Message)
				require.NotContains(t, p.String(), "\n")
			}
			return
		}
		var shown, again bytes.Buffer
		require.NoError(t, loaded.Show(&shown, FormatYAML))
		second, err := load(o, "worker.yaml", shown.Bytes(), nil)
		require.NoError(t, err, "%s", shown.Bytes())
		require.NoError(t, second.Show(&again, FormatYAML))
		require.JSONEq(t, effective(t, loaded), effective(t, second))
	})
}

// effective is the configuration as JSON, passwords masked.
func effective(t *testing.T, l *Loaded) string {
	root, err := newSchema(&l.Config)
	require.NoError(t, err)
	text, err := json.Marshal(asJSON(root))
	require.NoError(t, err)
	return string(text)
}

// Aliases of aliases stand for 10^9 names in a hundred bytes.
func TestAliasesAreBounded(t *testing.T) {
	type lists struct{ Names [][][][][][][][][]string }
	var b strings.Builder
	b.WriteString("handlers: {views: {options: {names: [")
	var level func(depth int) string
	level = func(depth int) string {
		if depth == 0 {
			return "&l0 [" + strings.Repeat("a, ", 10) + "]"
		}
		name := string(rune('0' + depth))
		return "&l" + name + " [" + level(depth-1) + strings.Repeat(", *l"+string(rune('0'+depth-1)), 9) + "]"
	}
	b.WriteString(level(7) + "]}}}\n")
	_, err := load(Options{Environ: []string{}, Handlers: []HandlerDecl{{Name: "views", Options: &lists{}}}},
		"worker.yaml", []byte(b.String()), nil)
	require.ErrorContains(t, err, "too many values, most of them by aliases")
}
