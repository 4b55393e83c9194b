package cli

import (
	"context"
	"encoding/json"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/answerfeed/answerfeed/app/database"
)

// tables is what the database of the working directory holds.
func tables(t *testing.T) (names []string) {
	t.Helper()
	db, err := database.Open(t.Context(), database.Config{Driver: database.SQLite, DSN: "answerfeed.db"})
	require.NoError(t, err)
	defer db.Close()
	rows, err := db.Read().QueryContext(t.Context(), `SELECT name FROM sqlite_master ORDER BY name`)
	require.NoError(t, err)
	defer rows.Close()
	for rows.Next() {
		var name string
		require.NoError(t, rows.Scan(&name))
		names = append(names, name)
	}
	require.NoError(t, rows.Err())
	return names
}

func TestBench_JSON(t *testing.T) {
	here(t)
	require.Equal(t, exitDone, worker(t, "migrate").code)
	before := tables(t)
	r := worker(t, "bench", "--scenario", "steady", "--messages", "300", "--rate", "300", "-o", "json")
	require.Equal(t, exitDone, r.code, r.err)
	require.Regexp(t, `^run [a-z2-7]{8} begins; should it be killed: worker bench --clean [a-z2-7]{8}\n$`, r.err, "no bar but on a terminal")
	var report struct {
		Scenario  string             `json:"scenario"`
		Publish   float64            `json:"publish_per_second"`
		Drain     float64            `json:"drain_per_second"`
		LatencyMS map[string]float64 `json:"latency_ms"`
		CPU       float64            `json:"cpu_us_per_message"`
		RSS       float64            `json:"rss_mb"`
		Effects   int                `json:"effects"`
		Settings  map[string]any     `json:"settings"`
	}
	require.NoError(t, json.Unmarshal([]byte(r.out), &report))
	require.Equal(t, "steady", report.Scenario)
	require.Equal(t, 300, report.Effects)
	for _, figure := range []float64{report.Publish, report.Drain, report.CPU, report.RSS, report.LatencyMS["p50"]} {
		require.Positive(t, figure)
	}
	require.Len(t, report.LatencyMS, 4)
	for _, name := range []string{"durability", "confirms", "acknowledgement", "window"} {
		require.NotEmpty(t, report.Settings[name], name)
	}
	require.Equal(t, before, tables(t))
}

func TestBench_Table(t *testing.T) {
	here(t)
	r := worker(t, "bench", "--scenario", "fan-out", "--messages", "200", "--rate", "10")
	require.Equal(t, exitDone, r.code, r.err)
	for _, line := range []string{
		`transport +sql on sqlite`, `durability +messages in SQLite, WAL with synchronous=FULL; effects in the same file`,
		`STEP +FIGURE +VALUE +SETTINGS`, `1 handler +publish +[0-9,]+/s +each call returns once committed; 4 callers of 500; 400 bytes`,
		`5 handlers +publish .*, 5 handlers`, ` +a message +[0-9.]+ µs `, ` +drain +[0-9,]+/s +window 1000; acknowledged after the commit`,
		` +latency p99 +[0-9.]+ ms`, ` +processor +[0-9.]+ µs/message `, ` +memory +[0-9.]+ MB `,
		` +redeliveries +0 +230 effects, 0 doubled; 0 dead letters; 0 left in the queue`,
		`COMPARED +PUBLISH +A MESSAGE +DRAIN +PROCESSOR`, `5 handlers to 1 handler +[0-9.]+ times +[-+][0-9.]+ µs +[0-9.]+ times +[0-9.]+ times`,
	} {
		require.Regexp(t, `(?m)^`+line, r.out)
	}
}

func TestBench_Interrupted(t *testing.T) {
	here(t)
	require.Equal(t, exitDone, worker(t, "migrate").code)
	before := tables(t)
	ctx, interrupt := context.WithCancel(t.Context())
	defer interrupt()
	var out, log output
	code := make(chan int, 1)
	go func() {
		code <- Run(ctx, stock(Options{Args: []string{"bench", "--handler-delay", "1s", "--messages", "100000"}, Out: &out, Err: &log}))
	}()
	eventually(t, func() bool { return strings.Contains(strings.Join(tables(t), " "), "questions_1") })
	interrupt()
	require.Equal(t, exitFailed, <-code)
	require.Empty(t, out.String())
	require.Regexp(t, `(?m)^worker: interrupted; what was made for the measurement is removed: context canceled\n$`, log.String())
	require.Equal(t, before, tables(t))
}

func TestBench_Clean(t *testing.T) {
	here(t)
	require.Equal(t, exitDone, worker(t, "migrate").code)
	before := tables(t)
	// As a run that was killed leaves it.
	t.Setenv("WORKER_TRANSPORT_PREFIX", "bench-abcdefgh-2-")
	require.Equal(t, exitDone, worker(t, "migrate").code)
	require.NotEqual(t, before, tables(t))
	t.Setenv("WORKER_TRANSPORT_PREFIX", "")
	r := worker(t, "bench", "--clean", "abcdefgh")
	require.Equal(t, result{exitDone, "", "nothing of run abcdefgh is left\n"}, r)
	require.Equal(t, before, tables(t))
}

func TestBench_Mistakes(t *testing.T) {
	here(t)
	for says, args := range map[string][]string{
		"--scenario soak: there is overview, drain, steady, backlog, poison, slow, fan-out": {"--scenario", "soak"},
		"--scenario: it must name one of overview":                                          {"--scenario", ""},
		"--messages 0: it must be more than 0":                                              {"--messages", "0"},
		"--messages -5: it must be 1 to 5000000":                                            {"--messages=-5"},
		"--messages 5000001: it must be 1 to 5000000":                                       {"--messages", "5000001"},
		"--rate 0: it must be more than 0":                                                  {"--rate", "0"},
		"--rate -1: it must be 1 to 100000 events a second":                                 {"--rate=-1"},
		"--rate NaN: it must be 1 to 100000 events a second":                                {"--rate", "NaN"},
		"--payload 0: it must be more than 0":                                               {"--payload", "0"},
		"--payload 100: it must be 256 to 1048576 bytes":                                    {"--payload", "100"},
		"--payload 1048577: it must be 256 to 1048576 bytes":                                {"--payload", "1048577"},
		"--handler-delay -1s: it must be 0s to 10s":                                         {"--handler-delay=-1s"},
		"--handler-delay 1m0s: it must be 0s to 10s":                                        {"--handler-delay", "1m"},
		"--backlog -1: it must be 0 to 5000000":                                             {"--backlog=-1"},
		"--poison 101: it must be 1 to 100 percent":                                         {"--scenario", "poison", "--poison", "101"},
		"--poison goes with --scenario poison":                                              {"--poison", "7"},
		"-o xml: there is table and json":                                                   {"-o", "xml"},
		"invalid argument \"many\" for \"--messages\"":                                      {"--messages", "many"},
		"worker bench --help":                                                               {"drain"},
		`--clean "../x": it must be the 8 letters and digits that a run told`:               {"--clean", "../x"},
	} {
		t.Run(says, func(t *testing.T) {
			r := worker(t, append([]string{"bench"}, args...)...)
			require.Equal(t, exitUsage, r.code, r.err)
			require.Empty(t, r.out)
			require.Contains(t, r.err, says)
			require.True(t, regexp.MustCompile(`^worker: [^\n]+\n$`).MatchString(r.err), "one sentence: %s", r.err)
		})
	}
	require.NoFileExists(t, "answerfeed.db", "nothing was begun")
}
