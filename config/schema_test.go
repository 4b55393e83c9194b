package config

import (
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/spf13/viper"
	"github.com/stretchr/testify/require"
)

// example is a possible value of a setting, as text, other than its default.
func example(t *testing.T, n *node) string {
	t.Helper()
	typ := n.value.Type()
	switch {
	case n.rule.oneOf != nil:
		for _, word := range n.rule.oneOf {
			if word != n.value.String() {
				return word
			}
		}
	case isDuration(typ) || typ.Kind() == reflect.Slice && isDuration(typ.Elem()):
		return "7s"
	case typ.Kind() == reflect.Bool:
		return fmt.Sprint(!n.value.Bool())
	case n.value.CanInt() || n.value.CanFloat():
		return "7"
	}
	switch n.key {
	case "transport.sql.dsn", "database.dsn":
		return "host=db"
	case "transport.amqp.url", "transport.amqp.failover":
		return "amqps://mq/"
	case "transport.amqp.management":
		return "http://mq:15672"
	case "alerts.url":
		return "https://text/" // allow_hosts holds "text"
	case "web.listen":
		return ":0"
	case "memory.limit":
		return "1GiB"
	}
	return "text"
}

type walkOptions struct {
	Ratio float64
	Words []string `yaml:"words-to.drop"`
	Inner struct{ Label string }
}

// All keys are found by walking the schema, so that a new one cannot be forgotten here.
func TestEveryKeyByVariableFileAndFlag(t *testing.T) {
	decls := []HandlerDecl{{Name: "feed"}, {Name: "question-views", Options: &walkOptions{}}}
	base, err := declared(decls)
	require.NoError(t, err)
	root, err := newSchema(&base)
	require.NoError(t, err)
	var byVariable, byFile []string
	byFlag := map[string]any{}
	want := map[string]any{}
	for n := range root.settings() {
		require.NotEmpty(t, n.env, n.key)
		text := example(t, n)
		v, problem := fromText(text, n)
		require.Empty(t, problem, n.key)
		want[n.key] = v.Interface()
		require.NotEqual(t, n.value.Interface(), v.Interface(), n.key)
		file := filepath.Join(t.TempDir(), "value")
		require.NoError(t, os.WriteFile(file, []byte(text+"\n"), 0o600))
		byVariable = append(byVariable, n.env+"="+text)
		byFile = append(byFile, n.env+"_FILE="+file)
		byFlag[n.key] = text
	}
	empty := filepath.Join(t.TempDir(), "worker.yaml")
	require.NoError(t, os.WriteFile(empty, nil, 0o600))
	for source, o := range map[string]Options{
		"variables":          {File: empty, Handlers: decls, Environ: byVariable},
		"variables of files": {File: empty, Handlers: decls, Environ: byFile},
		"flags":              {File: empty, Handlers: decls, Environ: []string{}, Overrides: byFlag},
	} {
		t.Run(source, func(t *testing.T) {
			loaded, err := Load(o)
			require.NoError(t, err)
			after, err := newSchema(&loaded.Config)
			require.NoError(t, err)
			got := map[string]any{}
			for n := range after.settings() {
				got[n.key] = n.value.Interface()
				require.NotEqual(t, SourceDefault, loaded.Origins[n.key].Source, n.key)
			}
			require.Equal(t, want, got)
			require.ElementsMatch(t, slices.Collect(maps.Keys(want)), slices.Collect(maps.Keys(loaded.Origins)))
		})
	}
}

func TestVariableNames(t *testing.T) {
	for key, want := range map[string]string{
		"web.listen":                              "WORKER_WEB_LISTEN",
		"web.hosts":                               "WORKER_WEB_HOSTS",
		"handlers.question-views.on_unknown":      "WORKER_HANDLERS_QUESTION_VIEWS_ON_UNKNOWN",
		"handlers.feed.options.Words-to.drop":     "WORKER_HANDLERS_FEED_OPTIONS_WORDS_TO_DROP",
		"handlers.feed.options.inner.label":       "WORKER_HANDLERS_FEED_OPTIONS_INNER_LABEL",
		"transport.kind":                          "WORKER_TRANSPORT_KIND",
		"handlers.question-views.retry.redeliver": "WORKER_HANDLERS_QUESTION_VIEWS_RETRY_REDELIVER",
	} {
		require.Equal(t, want, variable(key))
	}
}

type recursive struct {
	Children []recursive `yaml:"children"`
}

func TestDeclarationsThatCannotBe(t *testing.T) {
	slow := DefaultHandler()
	slow.Timeout = 0
	hasty := DefaultHandler()
	hasty.Retry.Redeliver = []time.Duration{0}
	for name, c := range map[string]struct {
		decls []HandlerDecl
		want  string
	}{
		"name":       {[]HandlerDecl{{Name: "Feed"}}, "config: handler name \"Feed\": must be 1 to 60 of a-z, 0-9 and -"},
		"no name":    {[]HandlerDecl{{}}, "config: handler name \"\": must be 1 to 60 of a-z, 0-9 and -"},
		"twice":      {[]HandlerDecl{{Name: "feed"}, {Name: "feed"}}, `config: two handlers are named "feed"`},
		"default":    {[]HandlerDecl{{Name: "feed", Defaults: slow}}, "config: the default of handlers.feed.timeout must be from 1ms to 24h"},
		"defaults":   {[]HandlerDecl{{Name: "feed", Defaults: hasty}}, "config: the default of handlers.feed.retry.redeliver must be from 1ms to 720h"},
		"no pointer": {[]HandlerDecl{{Name: "feed", Options: struct{}{}}}, "config: handlers.feed.options: must be a pointer to a struct, not struct {}"},
		"nil":        {[]HandlerDecl{{Name: "feed", Options: (*recursive)(nil)}}, "config: handlers.feed.options: must be a pointer to a struct, not *config.recursive"},
		"no struct":  {[]HandlerDecl{{Name: "feed", Options: new(int)}}, "config: handlers.feed.options: must be a pointer to a struct, not *int"},
		"recursive":  {[]HandlerDecl{{Name: "feed", Options: &recursive{}}}, "config: handlers.feed.options.children" + strings.Repeat("[].children", 8) + ": nested too deeply"},
		"any":        {[]HandlerDecl{{Name: "feed", Options: &struct{ X any }{}}}, "config: handlers.feed.options.x: a setting cannot be of type interface {}"},
		"pointer":    {[]HandlerDecl{{Name: "feed", Options: &struct{ X *int }{}}}, "config: handlers.feed.options.x: a setting cannot be of type *int"},
		"range": {[]HandlerDecl{{Name: "feed", Options: &struct {
			X int `range:"1-2"`
		}{}}}, `config: handlers.feed.options.x: tag range: "1-2" is not LEAST..GREATEST`},
		"bound": {[]HandlerDecl{{Name: "feed", Options: &struct {
			X int `range:"1s.."`
		}{}}}, `config: handlers.feed.options.x: tag range: "1s" is no bound for int`},
		"check": {[]HandlerDecl{{Name: "feed", Options: &struct {
			X string `check:"colour"`
		}{}}}, `config: handlers.feed.options.x: tag check: "colour" is not the name of a check`},
		"check type": {[]HandlerDecl{{Name: "feed", Options: &struct {
			X int `check:"dsn"`
		}{}}}, "config: handlers.feed.options.x: tag check: int is not text"},
		"secret": {[]HandlerDecl{{Name: "feed", Options: &struct {
			X string `secret:"yes"`
		}{}}}, `config: handlers.feed.options.x: tag secret: "yes" is neither dsn nor all`},
		"same variable": {[]HandlerDecl{{Name: "feed", Options: &struct{ Timeout int }{}}, {Name: "feed-options"}},
			"config: handlers.feed.options.timeout and handlers.feed-options.timeout would share the variable WORKER_HANDLERS_FEED_OPTIONS_TIMEOUT: rename one"},
		"same by _FILE": {[]HandlerDecl{{Name: "feed", Options: &struct {
			Key  string
			File string `yaml:"key_file"`
		}{}}}, "config: handlers.feed.options.key and handlers.feed.options.key_file would share the variable WORKER_HANDLERS_FEED_OPTIONS_KEY_FILE: rename one"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := Load(Options{Environ: []string{}, Handlers: c.decls})
			require.EqualError(t, err, c.want)
		})
	}
}

// Why viper merges values of their final types, and reads neither file nor variables itself.
func TestWhatViperWouldDo(t *testing.T) {
	v := viper.New()
	v.SetConfigType("yaml")
	require.NoError(t, v.ReadConfig(strings.NewReader("concurrency: many\noptions: {Math.Algebra: 2}\nweb: {listn: x}\n")))
	require.Zero(t, v.GetInt("concurrency"), "a wrong type is a zero")
	require.Equal(t, map[string]any{"math.algebra": 2}, v.Get("options"), "keys lose their case")
	require.Nil(t, v.Get("web.listen"), "a misspelt key is silently another")

	t.Setenv("WORKER_TEST_SUITE_LISTEN", ":80")
	v.SetEnvPrefix("worker_test_suite")
	v.AutomaticEnv()
	require.Equal(t, ":80", v.Get("listen"))
	require.NotContains(t, v.AllSettings(), "listen", "a key that only the environment sets is left out when unmarshalling")
}
