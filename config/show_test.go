package config_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/answerfeed/answerfeed/config"
)

func TestShow(t *testing.T) {
	o := options("testdata/good_full.yaml", "WORKER_WEB_LISTEN=127.0.0.1:90",
		"WORKER_TRANSPORT_SQL_DSN=host=db user=feed password='s3cret s3cret' dbname=feed")
	o.Overrides = map[string]any{"log.level": "warn"}
	loaded, err := config.Load(o)
	require.NoError(t, err)
	for _, format := range []string{config.FormatYAML, config.FormatJSON} {
		var shown bytes.Buffer
		require.NoError(t, loaded.Show(&shown, format))
		golden(t, "testdata/show."+format+".golden", shown.String())
		require.NotContains(t, shown.String(), "s3cret")
	}
}

// What is shown can be put into a file: the origins are comments, the values those that were shown.
func TestShownIsAFile(t *testing.T) {
	loaded, err := config.Load(options("samples/worker.sqlite.yaml", "WORKER_HANDLERS_QUESTION_VIEWS_OPTIONS_NAMES=a,b"))
	require.NoError(t, err)
	var shown bytes.Buffer
	require.NoError(t, loaded.Show(&shown, config.FormatYAML))
	text := strings.Replace(shown.String(), "guest:xxxxx@", "guest:guest@", 1)
	again, err := config.Load(options(write(t, text)))
	require.NoError(t, err)
	loaded.Config.Handlers["question-views"].Options.(*viewOptions).Targets = []target{} // nil before
	require.Equal(t, loaded.Config, again.Config)
}

func TestShowFormats(t *testing.T) {
	loaded, err := config.Load(options("samples/worker.sqlite.yaml"))
	require.NoError(t, err)
	require.EqualError(t, loaded.Show(&bytes.Buffer{}, "toml"), `config: unknown format "toml": must be yaml or json`)
	broken := errors.New("broken pipe")
	require.ErrorIs(t, loaded.Show(failing{broken}, config.FormatYAML), broken)
	require.ErrorIs(t, loaded.Show(failing{broken}, config.FormatJSON), broken)
}

type failing struct{ err error }

func (f failing) Write([]byte) (int, error) { return 0, f.err }

func TestProblemsAsJSON(t *testing.T) {
	_, err := config.Load(options("testdata/bad_unknown_key.yaml", "WORKER_COLOUR=red"))
	var problems config.Problems
	require.ErrorAs(t, err, &problems)
	text, err := json.Marshal(problems)
	require.NoError(t, err)
	require.JSONEq(t, `[
		{"file":"testdata/bad_unknown_key.yaml","line":3,"column":5,"key":"handlers.feed.concurency","message":"unknown key (did you mean \"concurrency\"?)"},
		{"env":"WORKER_COLOUR","message":"unknown variable"}
	]`, string(text))
}
