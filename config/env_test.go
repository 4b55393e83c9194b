package config_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/answerfeed/answerfeed/config"
)

func TestPrecedence(t *testing.T) {
	o := options(write(t, "log: {level: debug}\nhandlers: {question-views: {options: {window: 2m}}}\n"))
	steps := []struct {
		name          string
		change        func()
		level, window string
	}{
		{"the file before defaults", func() {}, "debug 1", "2m0s 2"},
		{"variables before the file", func() {
			o.Environ = []string{"WORKER_LOG_LEVEL=warn", "WORKER_HANDLERS_QUESTION_VIEWS_OPTIONS_WINDOW=3m"}
		}, "warn WORKER_LOG_LEVEL", "3m0s WORKER_HANDLERS_QUESTION_VIEWS_OPTIONS_WINDOW"},
		{"overrides before variables", func() {
			o.Overrides = map[string]any{"log.level": "error", "handlers.question-views.options.window": 4 * time.Minute}
		}, "error flag", "4m0s flag"},
	}
	for _, step := range steps {
		t.Run(step.name, func(t *testing.T) {
			step.change()
			loaded, err := config.Load(o)
			require.NoError(t, err)
			place := func(key string) string {
				where := loaded.Origins[key].String()
				return strings.TrimPrefix(where, o.File+":")
			}
			window := loaded.Config.Handlers["question-views"].Options.(*viewOptions).Window
			require.Equal(t, step.level, loaded.Config.Log.Level+" "+place("log.level"))
			require.Equal(t, step.window, window.String()+" "+place("handlers.question-views.options.window"))
		})
	}
}

func TestValuesOfVariables(t *testing.T) {
	loaded, err := config.Load(options(write(t, "transport: {prefix: x}"),
		"WORKER_TRANSPORT_PREFIX=", // empty is a value, not the lack of one
		"WORKER_HANDLERS_FEED_RETRY_REDELIVER= 1s, 2m ",
		"WORKER_HANDLERS_LEADERBOARD_RETRY_REDELIVER=",
		"WORKER_HANDLERS_FEED_CONCURRENCY=7",
		"WORKER_HANDLERS_FEED_CONCURRENCY=8", // as os.Getenv: the first
		"WORKER_MIGRATE=FALSE",
		"WORKER_HANDLERS_QUESTION_VIEWS_OPTIONS_NAMES=a,b",
		"WORKER_HANDLERS_QUESTION_VIEWS_OPTIONS_INNER_DEPTH=3",
		"WORKER_HANDLERS_QUESTION_VIEWS_OPTIONS_DAY=2020-01-01T00:00:00Z",
		"WORKER_TEST_BROKER=anything",
		"WORKERS=anything",
		"PATH=anything",
	))
	require.NoError(t, err)
	c := loaded.Config
	require.Empty(t, c.Transport.Prefix)
	require.Equal(t, []time.Duration{time.Second, 2 * time.Minute}, c.Handlers["feed"].Retry.Redeliver)
	require.Equal(t, []time.Duration{}, c.Handlers["leaderboard"].Retry.Redeliver)
	require.Equal(t, 7, c.Handlers["feed"].Concurrency)
	require.False(t, c.Migrate)
	own := c.Handlers["question-views"].Options.(*viewOptions)
	require.Equal(t, []string{"a", "b"}, own.Names)
	require.Equal(t, uint8(3), own.Inner.Depth)
	require.Equal(t, 2020, own.Day.Year())
}

func TestMistakesInVariables(t *testing.T) {
	for name, c := range map[string]struct {
		environ []string
		want    string
	}{
		"unknown":         {[]string{"WORKER_WEB_LISTN=:80"}, "WORKER_WEB_LISTN: unknown variable (did you mean WORKER_WEB_LISTEN?)"},
		"far from all":    {[]string{"WORKER_COLOUR=red"}, "WORKER_COLOUR: unknown variable"},
		"a section":       {[]string{"WORKER_WEB=:80"}, "WORKER_WEB: unknown variable"},
		"a list of more":  {[]string{"WORKER_HANDLERS_QUESTION_VIEWS_OPTIONS_TARGETS=x"}, "WORKER_HANDLERS_QUESTION_VIEWS_OPTIONS_TARGETS: no variable can set this key, only the file"},
		"number":          {[]string{"WORKER_HANDLERS_FEED_CONCURRENCY=many"}, `WORKER_HANDLERS_FEED_CONCURRENCY: must be a whole number, not "many"`},
		"empty number":    {[]string{"WORKER_HANDLERS_FEED_CONCURRENCY="}, `WORKER_HANDLERS_FEED_CONCURRENCY: must be a whole number, not ""`},
		"range":           {[]string{"WORKER_HANDLERS_FEED_CONCURRENCY=0"}, "WORKER_HANDLERS_FEED_CONCURRENCY: must be from 1 to 100000, not 0"},
		"boolean":         {[]string{"WORKER_MIGRATE=1"}, "WORKER_MIGRATE: must be true or false, not 1"},
		"list":            {[]string{"WORKER_HANDLERS_FEED_RETRY_REDELIVER=1s,,2s"}, `WORKER_HANDLERS_FEED_RETRY_REDELIVER: element 2 must be a duration with its unit such as 500ms, 10s or 1h30m, not ""`},
		"UTF-8":           {[]string{"WORKER_TRANSPORT_SQL_DSN=\xff"}, "WORKER_TRANSPORT_SQL_DSN: must be valid UTF-8"},
		"contradiction":   {[]string{"WORKER_DATABASE_DRIVER=postgres"}, "samples/worker.sqlite.yaml:16:8: database.dsn: driver postgres and dsn do not fit: dsn must be postgres://… or host=… pairs"},
		"a handler's own": {[]string{"WORKER_HANDLERS_QUESTION_VIEWS_OPTIONS_WINDOW=90m"}, "WORKER_HANDLERS_QUESTION_VIEWS_OPTIONS_WINDOW: window: must be whole hours from 1h on"},
		"both":            {[]string{"WORKER_WEB_LISTEN=:80", "WORKER_WEB_LISTEN_FILE=x"}, "WORKER_WEB_LISTEN: WORKER_WEB_LISTEN_FILE is set too: set one of the two"},
		"secret":          {[]string{"WORKER_DATABASE_DSN=postgres://feed:hunter/2@db/feed"}, "WORKER_DATABASE_DSN: is not a valid URL (special characters in its password are written as %40 and the like)"},
		"secret as path":  {[]string{"WORKER_DATABASE_DSN_FILE=postgres://feed:hunter2@db/feed"}, "WORKER_DATABASE_DSN_FILE: reading the file it names: no such file or directory"},
		"secret, no URL":  {[]string{"WORKER_DATABASE_DSN=hunter\n2"}, "WORKER_DATABASE_DSN: must be one line without NUL"},
		"secret in list":  {[]string{"WORKER_HANDLERS_FEED_RETRY_REDELIVER=feed:hunter,2@db"}, "WORKER_HANDLERS_FEED_RETRY_REDELIVER: element 1 must be a duration with its unit such as 500ms, 10s or 1h30m, not what is given (not shown: it may hold a password)"},
		"directory":       {[]string{"WORKER_DATABASE_DSN_FILE=testdata"}, "WORKER_DATABASE_DSN_FILE: reading the file it names: is a directory"},
		"two": {[]string{"WORKER_WEB_LISTEN=x", "WORKER_LOG_LEVEL=loud"},
			"WORKER_LOG_LEVEL: must be debug, info, warn or error, not \"loud\"\nWORKER_WEB_LISTEN: must be host:port such as 127.0.0.1:8080, not \"x\""},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := config.Load(options("samples/worker.sqlite.yaml", c.environ...))
			require.EqualError(t, err, c.want)
		})
	}
}

// Each source is checked, also where a later one goes before it.
func TestMistakesThatAreOverridden(t *testing.T) {
	o := options(write(t, "log: {level: loud}"), "WORKER_LOG_LEVEL=quiet")
	o.Overrides = map[string]any{"log.level": "info", "web.listn": ":80", "database.dsn": ""}
	_, err := config.Load(o)
	require.EqualError(t, err, o.File+`:1:14: log.level: must be debug, info, warn or error, not "loud"`+"\n"+
		`WORKER_LOG_LEVEL: must be debug, info, warn or error, not "quiet"`+"\n"+
		"database.dsn: must not be empty\n"+
		"web.listn: no flag can set this key")
}

func TestOverridesOfEachType(t *testing.T) {
	o := options("samples/worker.sqlite.yaml")
	o.Overrides = map[string]any{
		"web.listen": "127.0.0.1:0", "migrate": false, "handlers.feed.concurrency": 5,
		"handlers.feed.timeout": time.Minute, "handlers.feed.retry.redeliver": []time.Duration{time.Second, time.Hour},
	}
	loaded, err := config.Load(o)
	require.NoError(t, err)
	require.Equal(t, "127.0.0.1:0", loaded.Config.Web.Listen)
	require.False(t, loaded.Config.Migrate)
	feed := loaded.Config.Handlers["feed"]
	require.Equal(t, 5, feed.Concurrency)
	require.Equal(t, time.Minute, feed.Timeout)
	require.Equal(t, []time.Duration{time.Second, time.Hour}, feed.Retry.Redeliver)
}

func TestVariableNamesAFile(t *testing.T) {
	file := filepath.Join(t.TempDir(), "dsn")
	for content, want := range map[string]string{
		"other.db":       "other.db",
		"other.db\n":     "other.db",
		"other.db\r\n":   "other.db",
		" spaced .db \n": " spaced .db ",
	} {
		require.NoError(t, os.WriteFile(file, []byte(content), 0o600))
		loaded, err := config.Load(options("samples/worker.sqlite.yaml", "WORKER_DATABASE_DSN_FILE="+file))
		require.NoError(t, err)
		require.Equal(t, want, loaded.Config.Database.DSN)
		require.Equal(t, "WORKER_DATABASE_DSN_FILE", loaded.Origins["database.dsn"].String())
	}
}
