package config_test

import (
	"errors"
	"flag"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/answerfeed/answerfeed/config"
)

var update = flag.Bool("update", false, "rewrite the golden files")

// viewOptions has a field of each kind that a handler's options may have.
type viewOptions struct {
	Window  time.Duration  `yaml:"window" range:"1s.."`
	Weight  float64        `yaml:"weight" range:"0..10"`
	Tags    map[string]int `yaml:"Tags.BySubject"`
	Targets []target       `yaml:"targets"`
	Day     time.Time
	Names   []string
	Key     string `yaml:"key" secret:"all"`
	Inner   struct {
		Depth uint8 `yaml:"Depth"`
	} `yaml:"inner"`
	Computed chan int `yaml:"-"`
}

type target struct {
	URL string `yaml:"url" secret:"dsn"`
	Key string `yaml:"key" secret:"all"`
}

func (o *viewOptions) Validate() error {
	var errs []error
	if o.Window > time.Hour && o.Window%time.Hour != 0 {
		errs = append(errs, errors.New("window: must be whole hours from 1h on"))
	}
	if len(o.Names) > 2 {
		errs = append(errs, errors.New("names: must be at most 2"))
	}
	return errors.Join(errs...)
}

// options are those of a program with three handlers, one of them with options of its own.
func options(file string, environ ...string) config.Options {
	return config.Options{
		File:    file,
		Environ: append([]string{}, environ...),
		Handlers: []config.HandlerDecl{
			{Name: "feed"},
			{Name: "leaderboard"},
			{Name: "question-views", Options: &viewOptions{Window: time.Minute, Tags: map[string]int{"all": 1}}},
		},
	}
}

func write(t *testing.T, text string) string {
	t.Helper()
	file := filepath.Join(t.TempDir(), "worker.yaml")
	require.NoError(t, os.WriteFile(file, []byte(text), 0o600))
	return file
}

func golden(t *testing.T, file, got string) {
	t.Helper()
	if *update {
		require.NoError(t, os.WriteFile(file, []byte(got), 0o644))
	}
	want, err := os.ReadFile(file)
	require.NoError(t, err)
	require.Equal(t, string(want), got)
}

// Each bad_*.yaml holds one kind of mistake; its .golden what the user is told. None may tell the password in it.
func TestMistakes(t *testing.T) {
	files, err := filepath.Glob("testdata/bad_*.yaml")
	require.NoError(t, err)
	require.NotEmpty(t, files)
	for _, file := range files {
		name := strings.TrimSuffix(filepath.Base(file), ".yaml")
		t.Run(name, func(t *testing.T) {
			loaded, err := config.Load(options(file))
			require.Nil(t, loaded)
			var problems config.Problems
			require.ErrorAs(t, err, &problems)
			require.NotContains(t, err.Error(), "hunter")
			for _, p := range problems {
				require.Equal(t, file, p.File)
				require.Positive(t, p.Line)
			}
			golden(t, "testdata/"+name+".golden", err.Error()+"\n")
		})
	}
}

func TestFileThatCannotBeRead(t *testing.T) {
	for name, c := range map[string]struct{ file, message string }{
		"missing":        {"testdata/nowhere.yaml", "testdata/nowhere.yaml: cannot be read: no such file or directory"},
		"a directory":    {"testdata", "testdata: cannot be read: is a directory"},
		"below a file":   {"load.go/worker.yaml", "load.go/worker.yaml: cannot be read: not a directory"},
		"more than 1MiB": {write(t, strings.Repeat("# large\n", 1<<17)+"#"), "cannot be read: larger than 1 MiB"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := config.Load(options(c.file, "WORKER_LOG_LEVEL=loud"))
			var problems config.Problems
			require.ErrorAs(t, err, &problems)
			require.Len(t, problems, 2)
			require.Contains(t, problems[0].String(), c.message)
			require.Equal(t, "WORKER_LOG_LEVEL", problems[1].Env)
		})
	}
}

func TestDefaults(t *testing.T) {
	t.Chdir(t.TempDir())
	loaded, err := config.Load(options(""))
	require.NoError(t, err)
	want := config.Default()
	want.Handlers["feed"], want.Handlers["leaderboard"] = config.DefaultHandler(), config.DefaultHandler()
	views := config.DefaultHandler()
	views.Options = &viewOptions{Window: time.Minute, Tags: map[string]int{"all": 1}}
	want.Handlers["question-views"] = views
	require.Equal(t, want, loaded.Config)
	require.Empty(t, loaded.File)
	for key, origin := range loaded.Origins {
		require.Equal(t, config.Origin{Source: config.SourceDefault}, origin, key)
	}
}

func TestNoHandlers(t *testing.T) {
	loaded, err := config.Load(config.Options{File: write(t, "handlers: {}"), Environ: []string{}})
	require.NoError(t, err)
	require.Equal(t, config.Default(), loaded.Config)
}

func TestWorkerYAMLIsFound(t *testing.T) {
	t.Chdir(t.TempDir())
	require.NoError(t, os.WriteFile("worker.yaml", []byte("log: {level: debug}"), 0o600))
	loaded, err := config.Load(options(""))
	require.NoError(t, err)
	require.Equal(t, "debug", loaded.Config.Log.Level)
	require.Equal(t, config.DefaultFile, loaded.File)
}

func TestProcessEnvironment(t *testing.T) {
	t.Chdir(t.TempDir())
	t.Setenv("WORKER_LOG_LEVEL", "warn")
	o := options("")
	o.Environ = nil
	loaded, err := config.Load(o)
	require.NoError(t, err)
	require.Equal(t, "warn", loaded.Config.Log.Level)
}

func TestHarmlessFiles(t *testing.T) {
	t.Chdir(t.TempDir())
	defaults, err := config.Load(options(""))
	require.NoError(t, err)
	for _, text := range []string{"", "\n\n", "# nothing\n", "---\n", "~", "{}", "---\n# nothing\n...\n", "web:\n# listen: x\nhandlers:\n  feed:\n"} {
		loaded, err := config.Load(options(write(t, text)))
		require.NoError(t, err, "%q", text)
		require.Equal(t, defaults.Config, loaded.Config, "%q", text)
	}
	loaded, err := config.Load(options(write(t, "\ufeffweb:\r\n  listen: 127.0.0.1:81\r\n")))
	require.NoError(t, err)
	require.Equal(t, "127.0.0.1:81", loaded.Config.Web.Listen)
}

// The sample is what a newcomer copies: it must say what holds without it.
func TestSampleIsTheDefault(t *testing.T) {
	o := config.Options{File: "samples/worker.sqlite.yaml", Environ: []string{}, Handlers: options("").Handlers[:2]}
	loaded, err := config.Load(o)
	require.NoError(t, err)
	o.File = write(t, "")
	defaults, err := config.Load(o)
	require.NoError(t, err)
	require.Equal(t, defaults.Config, loaded.Config)
	for key, origin := range loaded.Origins {
		if strings.HasPrefix(key, "handlers.leaderboard") || strings.HasPrefix(key, "transport.amqp.") {
			continue
		}
		require.Equal(t, config.SourceFile, origin.Source, "the sample leaves out %s", key)
	}
}

// The samples of other transports differ from the default where they say so,
// and leave out none of their keys.
func TestSamplesOfTransports(t *testing.T) {
	const local = `{driver: postgres, dsn: "postgres://answerfeed@127.0.0.1:5432/answerfeed"}`
	for file, sample := range map[string]struct {
		says string
		keys []string
	}{
		"samples/worker.amqp.yaml":     {"transport: {kind: amqp}", []string{"transport.amqp."}},
		"samples/worker.postgres.yaml": {"transport: {sql: " + local + "}\ndatabase: " + local, []string{"transport.sql.", "database."}},
	} {
		o := config.Options{File: file, Environ: []string{}, Handlers: options("").Handlers[:2]}
		loaded, err := config.Load(o)
		require.NoError(t, err)
		o.File = write(t, sample.says)
		want, err := config.Load(o)
		require.NoError(t, err)
		require.Equal(t, want.Config, loaded.Config)
		for key, origin := range loaded.Origins {
			if slices.ContainsFunc(sample.keys, func(prefix string) bool { return strings.HasPrefix(key, prefix) }) {
				require.Equal(t, config.SourceFile, origin.Source, "the sample %s leaves out %s", file, key)
			}
		}
	}
}

func TestEveryKeyInAFile(t *testing.T) {
	loaded, err := config.Load(options("testdata/good_full.yaml"))
	require.NoError(t, err)
	quick := config.Handler{
		Concurrency: 64, Delivery: config.AtMostOnce, Timeout: 90 * time.Second, OnUnknown: config.UnknownRetry, OnStuck: config.StuckExit,
		Retry: config.Retry{Attempts: 1, Redeliver: []time.Duration{}},
	}
	views := config.DefaultHandler()
	views.Retry = quick.Retry
	want := viewOptions{
		Window: 2 * time.Hour, Weight: 1, Tags: map[string]int{"Math.Algebra": 2, "on": 3},
		Targets: []target{{URL: "https://example.org/hook", Key: "s3cret"}},
		Day:     time.Date(2020, 1, 1, 0, 0, 0, 0, time.UTC), Names: []string{"a", "b, c"}, Key: "s3cret",
	}
	want.Inner.Depth = 4
	views.Options = &want
	require.Equal(t, config.Config{
		Transport: config.Transport{
			Kind: config.KindAMQP, Prefix: "staging-",
			SQL: config.Database{
				Driver: config.DriverPostgres, DSN: `host=db user=feed password='s3 c\'ret' dbname=feed`,
				Writers: 4, Readers: 2, StatementTimeout: 5 * time.Second,
			},
			AMQP: config.AMQP{
				URL: "amqps://feed:s3cret@mq.example.org:5671/feed", Failover: []string{"amqps://feed:s3cret@mq2.example.org:5671/feed"},
				Management: "https://feed:s3cret@mq.example.org:15671",
				CA:         "ca.pem", Cert: "worker.pem", Key: "worker.key", ServerName: "mq", Heartbeat: 10 * time.Second,
				ConnectTimeout: time.Minute, ConsumerTimeout: 20 * time.Minute, Name: "feed worker",
			},
		},
		Database: config.Database{
			Driver: config.DriverPostgres, DSN: "postgres://feed:s3cret@db.example.org/feed?sslmode=require",
			Writers: 16, Readers: 12, StatementTimeout: time.Minute,
		},
		Handlers: map[string]config.Handler{"feed": quick, "leaderboard": quick, "question-views": views},
		Relay:    config.Relay{},
		Alerts: config.Alerts{
			URL: "https://hooks.example.org/s3cret", Form: "slack", Every: time.Minute, Spike: 5, SpikeWithin: time.Hour,
			AllowHosts: []string{"hooks.example.org"}, AllowPrivate: true,
		},
		Web: config.Web{Listen: "[::1]:0", Hosts: []string{"answers.example"}},
		Log: config.Log{Level: "debug", Format: "json"}, Memory: config.Memory{Limit: "256MiB"},
	}, loaded.Config)
	for key, origin := range loaded.Origins {
		if strings.HasPrefix(key, "handlers.question-views.") && !strings.Contains(key, ".options.") && !strings.Contains(key, ".retry.") {
			continue
		}
		require.Equal(t, config.SourceFile, origin.Source, key)
	}
	require.Equal(t, config.Origin{Source: config.SourceFile, File: "testdata/good_full.yaml", Line: 67, Column: 11}, loaded.Origins["web.listen"])
}

// A declaration's defaults go before the general ones, and its options are not written to.
func TestDeclaredDefaults(t *testing.T) {
	own := &viewOptions{Window: time.Hour, Names: []string{"a"}, Tags: map[string]int{"all": 1}}
	defaults := config.DefaultHandler()
	defaults.Concurrency = 8
	o := config.Options{
		File: write(t, "handlers: {views: {timeout: 1s, options: {window: 5m, names: [b], Tags.BySubject: {biology: 2}}}}"), Environ: []string{},
		Handlers: []config.HandlerDecl{{Name: "views", Defaults: defaults, Options: own}},
	}
	for range 2 {
		loaded, err := config.Load(o)
		require.NoError(t, err)
		views := loaded.Config.Handlers["views"]
		require.Equal(t, 8, views.Concurrency)
		require.Equal(t, time.Second, views.Timeout)
		require.Equal(t, &viewOptions{Window: 5 * time.Minute, Names: []string{"b"}, Tags: map[string]int{"biology": 2}}, views.Options)
		require.Equal(t, &viewOptions{Window: time.Hour, Names: []string{"a"}, Tags: map[string]int{"all": 1}}, own)
	}
}
