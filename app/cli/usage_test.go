package cli

import (
	"encoding/json"
	"runtime"
	"strings"
	"testing"

	"github.com/spf13/cobra"
	"github.com/stretchr/testify/require"
)

// verbs are all command lines that name a verb.
func verbs(cmd *cobra.Command) [][]string {
	all := [][]string{strings.Fields(cmd.CommandPath())[1:]}
	for _, sub := range cmd.Commands() {
		all = append(all, verbs(sub)...)
	}
	return all
}

func TestHelp_OfEachVerb(t *testing.T) {
	here(t)
	all := verbs(newRoot(&cli{Options: stock(Options{Name: stockName})}))
	require.Greater(t, len(all), 10)
	for _, verb := range all {
		name := "worker " + strings.Join(verb, " ")
		t.Run(name, func(t *testing.T) {
			r := worker(t, append(verb, "--help")...)
			require.Equal(t, exitDone, r.code)
			require.Empty(t, r.err)
			require.Contains(t, r.out, "Usage:")
			require.Contains(t, r.out, strings.TrimSpace(name))
			require.Contains(t, r.out, "--config FILE", "it can be found from each")
			require.Equal(t, r, worker(t, append([]string{"help"}, verb...)...), "help VERB is the same")
		})
	}
	require.Equal(t, worker(t, "--help"), worker(t), "no verb is a wish for help")
	require.Equal(t, worker(t, "version"), worker(t, "--version"))
	require.Contains(t, worker(t).out, "worker import stackexchange Posts.xml", "the first steps")
}

func TestUsage_Mistakes(t *testing.T) {
	here(t)
	write(t, "bad.yaml", "web:\n  listen: nowhere\nhandlers:\n  fed: {}\n")
	tests := map[string]struct {
		args []string
		says string
	}{
		"an unknown verb":              {[]string{"pubish"}, `unknown command "pubish"`},
		"an unknown flag":              {[]string{"run", "--demmo"}, "unknown flag: --demmo; see worker run --help"},
		"an unknown short flag":        {[]string{"backlog", "-x"}, "unknown shorthand flag"},
		"an unknown global flag":       {[]string{"--verbose"}, "unknown flag: --verbose; see worker --help"},
		"a flag without its value":     {[]string{"run", "--listen"}, "needs an argument"},
		"a flag of wrong type":         {[]string{"run", "--demo", "--rate", "fast"}, "--rate"},
		"an argument too many":         {[]string{"run", "now"}, "worker run --help"},
		"an argument of version":       {[]string{"version", "x"}, "worker version --help"},
		"an argument of backlog":       {[]string{"backlog", "feed"}, "worker backlog --help"},
		"an argument of migrate":       {[]string{"migrate", "feed"}, "worker migrate --help"},
		"an unknown verb of config":    {[]string{"config", "chek"}, "worker config --help"},
		"an unknown verb of import":    {[]string{"import", "Posts.xml"}, "worker import --help"},
		"an unknown shell":             {[]string{"completion", "tcsh"}, "worker completion --help"},
		"an argument of a shell":       {[]string{"completion", "bash", "x"}, "worker completion bash --help"},
		"a format of backlog":          {[]string{"backlog", "-o", "xml"}, "-o xml: there is table and json"},
		"a format of version":          {[]string{"version", "-o", "yaml"}, "-o yaml: there is table and json"},
		"a format of config show":      {[]string{"config", "show", "-o", "table"}, "-o table: there is yaml and json"},
		"a kill of a given server":     {[]string{"verify", "--broker-kills", "1"}, "--broker-kills goes with --own-servers"},
		"a run without messages":       {[]string{"verify", "--messages", "0"}, "--messages 0: it takes at least 1"},
		"a negative number of kills":   {[]string{"verify", "--kills=-1"}, "--kills -1: it must be 0 to 100000"},
		"an unknown transport":         {[]string{"verify", "--own-servers", "--on", "kafka"}, "--on kafka: it takes sqlite, postgres, rabbitmq"},
		"a rate without a demo":        {[]string{"run", "--rate", "5"}, "--rate goes with --demo"},
		"a rate of nothing":            {[]string{"run", "--demo", "--rate", "0"}, "--rate 0: it must be more than 0"},
		"a negative rate":              {[]string{"run", "--demo", "--rate=-1"}, "--rate -1: it must be more than 0"},
		"a rate that is no number":     {[]string{"run", "--demo", "--rate", "NaN"}, "--rate NaN: it must be more than 0"},
		"an endless rate":              {[]string{"run", "--demo", "--rate", "Inf"}, "--rate"},
		"an address that is none":      {[]string{"run", "--listen", "8080"}, "listen"},
		"no file to import":            {[]string{"import", "stackexchange"}, "worker import stackexchange --help"},
		"a grade without a tag":        {[]string{"import", "stackexchange", "--grade-tag", "=x", "p.xml"}, `--grade-tag "=x": it must be TAG=GRADE`},
		"a tag without a grade":        {[]string{"import", "stackexchange", "--grade-tag", "x", "p.xml"}, `--grade-tag "x": it must be TAG=GRADE`},
		"a subject too long":           {[]string{"import", "stackexchange", "--subject", strings.Repeat("s", 65), "p.xml"}, "subject: longer than 64"},
		"a grade too long":             {[]string{"import", "stackexchange", "--grade", strings.Repeat("g", 65), "p.xml"}, "grade: longer than 64"},
		"a configuration that is away": {[]string{"run", "--config", "none.yaml"}, "none.yaml: cannot be read"},
		"a configuration with faults":  {[]string{"publish", "--config", "bad.yaml"}, "bad.yaml:2:"},
		"another verb with it":         {[]string{"migrate", "--config", "bad.yaml"}, "bad.yaml:4:"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			r := worker(t, test.args...)
			require.Equal(t, exitUsage, r.code, r.err)
			require.Empty(t, r.out)
			require.Contains(t, r.err, test.says)
			require.NotContains(t, r.err, "Usage:", "the mistake is not to drown in it")
			require.True(t, strings.HasPrefix(r.err, "worker: "), r.err)
		})
	}
	require.NoFileExists(t, "answerfeed.db", "nothing was begun")
}

func TestVersion(t *testing.T) {
	here(t)
	r := worker(t, "version")
	require.Equal(t, exitDone, r.code)
	require.Regexp(t, `^worker \S+, commit \S+, go1\.\S+\n$`, r.out)
	var v map[string]string
	r = worker(t, "version", "-o", "json")
	require.NoError(t, json.Unmarshal([]byte(r.out), &v))
	require.Len(t, v, 3)
	require.NotEmpty(t, v["version"])
	require.NotEmpty(t, v["commit"])
	require.Equal(t, runtime.Version(), v["go"])
	require.Empty(t, r.err)
}

func TestCompletion(t *testing.T) {
	here(t)
	for _, shell := range []string{"bash", "zsh", "fish", "powershell"} {
		r := worker(t, "completion", shell)
		require.Equal(t, exitDone, r.code)
		require.Contains(t, r.out, "worker")
		require.Greater(t, len(r.out), 1000)
		require.Empty(t, r.err)
	}
	r := worker(t, "__complete", "import", "")
	require.Contains(t, r.out, "stackexchange")
}

func TestConfig_Check(t *testing.T) {
	here(t)
	r := worker(t, "config", "check")
	require.Equal(t, result{exitDone, "", "the defaults and the environment: no problem found\n"}, r)

	write(t, "worker.yaml", "log:\n  level: debug\n")
	r = worker(t, "config", "check")
	require.Equal(t, result{exitDone, "", "worker.yaml: no problem found\n"}, r)

	write(t, "worker.yaml", "log:\n  level: loud\nweb: {listen: 7}\nhandlers:\n  feed: {concurrency: 0}\n")
	t.Setenv("WORKER_LOG_FORMAT", "xml")
	r = worker(t, "config", "check")
	require.Equal(t, exitUsage, r.code)
	for _, says := range []string{"worker.yaml:2:", "log.level", "worker.yaml:3:", "web.listen", "worker.yaml:5:", "handlers.feed.concurrency", "WORKER_LOG_FORMAT"} {
		require.Contains(t, r.err, says, "every problem at once")
	}
	require.NoFileExists(t, "answerfeed.db")
}

func TestConfig_Show(t *testing.T) {
	here(t)
	write(t, "worker.yaml", "transport:\n  amqp:\n    url: amqp://me:s3cret@broker:5672/\nlog: {level: warn}\n")
	t.Setenv("WORKER_WEB_LISTEN", "127.0.0.1:9")
	for _, format := range []string{"yaml", "json"} {
		r := worker(t, "config", "show", "-o", format)
		require.Equal(t, exitDone, r.code)
		require.Empty(t, r.err)
		for _, says := range []string{"worker.yaml", "WORKER_WEB_LISTEN", "127.0.0.1:9", "broker", "leaderboard", "1 h 12 m 35 s"} {
			require.Contains(t, r.out, says)
		}
		require.NotContains(t, r.out, "s3cret")
	}
	require.Contains(t, worker(t, "config", "show").out, "worker.yaml:4")
	require.True(t, json.Valid([]byte(worker(t, "config", "show", "-o", "json").out)))
}
