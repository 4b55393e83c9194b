package faults

import (
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/answerfeed/answerfeed/internal/crashpoint"
	"github.com/answerfeed/answerfeed/internal/testserver"
)

// crashing is the worker in a build with crash points, which can also be made
// wrong.
var crashing = sync.OnceValues(func() (string, error) {
	file := filepath.Join(filepath.Dir(binary), "crashing")
	return file, build("build", "-tags", "crashpoints", "-o", file, "github.com/answerfeed/answerfeed/cmd/worker")
})

// verified is what `worker verify -o json` says.
type verified struct {
	Passed bool
	Runs   []struct {
		Confirmed, Effects, Queued, Lost, Doubled, Unexpected, Redelivered int

		DeadLetters int                            `json:"dead_letters"`
		Recovery    map[string]struct{ Times int } `json:"recovery_ms"`
		Logs        string
	}
}

// verify runs the verb in a build and returns its exit status and what it says.
func (p place) verify(t *testing.T, binary string, env []string, args ...string) (code int, v verified) {
	t.Helper()
	cmd := p.inside(exec.CommandContext(t.Context(), binary, append([]string{"verify", "-o", "json", "--seed", "1"}, args...)...))
	logs := t.TempDir()                                     // stay there when it fails
	require.NoError(t, os.Chmod(filepath.Dir(logs), 0o755)) // for the user that PostgreSQL runs as
	cmd.Env = append(append(cmd.Env, "TMPDIR="+logs), env...)
	out, err := cmd.Output()
	var failed *exec.ExitError
	if err != nil {
		require.ErrorAs(t, err, &failed)
		t.Logf("%s%s", out, failed.Stderr)
	}
	require.NoError(t, json.Unmarshal(out, &v))
	require.Len(t, v.Runs, 1)
	return cmd.ProcessState.ExitCode(), v
}

// A worker that is right passes, on whatever is configured, and the run leaves
// nothing behind.
func TestVerify_PassesAndLeavesNothing(t *testing.T) {
	onEach(t, func(t *testing.T, p place) {
		code, v := p.verify(t, binary, nil, "--messages", "1000", "--kills", "2", "--stops", "0", "--cuts", "1")
		require.Zero(t, code)
		require.True(t, v.Passed)
		run := v.Runs[0]
		require.GreaterOrEqual(t, run.Confirmed, 1000)
		require.Equal(t, run.Confirmed, run.Effects+run.DeadLetters)
		require.Zero(t, run.Lost+run.Doubled+run.Unexpected)
		require.Positive(t, run.DeadLetters)
		require.Positive(t, run.Redelivered, "the kills hit nothing")
		require.Equal(t, 2, run.Recovery["worker kill"].Times)
		requireNothingLeft(t, p)
	})
}

// A worker that is wrong on purpose is found out.
func TestVerify_CatchesABrokenWorker(t *testing.T) {
	file, err := crashing()
	require.NoError(t, err)
	onEach(t, func(t *testing.T, p place) {
		letterLast := []string{"--kills", "2"} // on SQL no letter can be written any more
		if p.settings["transport.kind"] == "amqp" {
			// Those are lost whose process dies in the moment between: so many
			// processes die while many letters are written.
			letterLast = []string{"--kills", "4", "--crash-points", "1"}
		}
		for mistake, args := range map[string][]string{crashpoint.AcknowledgeFirst: {"--kills", "4"}, crashpoint.LetterLast: letterLast} {
			t.Run(mistake, func(t *testing.T) {
				args := append([]string{"--messages", "1000", "--stops", "0", "--cuts", "0"}, args...)
				code, v := p.verify(t, file, []string{crashpoint.BrokenVariable + "=" + mistake}, args...)
				require.Equal(t, 1, code)
				require.False(t, v.Passed)
				require.Positive(t, v.Runs[0].Lost)
				require.DirExists(t, v.Runs[0].Logs)
				requireNothingLeft(t, p)
			})
		}
	})
}

// A standby for which no commit waits does not have all that was confirmed, and
// that is found out; one for which commits wait has it.
func TestVerify_CatchesAnAsynchronousStandby(t *testing.T) {
	file, err := crashing()
	require.NoError(t, err)
	args := []string{"--own-servers", "--on", "postgres", "--messages", "1000", "--only", "failovers", "--failovers", "1"}
	code, v := onSQLite(t).verify(t, file, []string{crashpoint.BrokenVariable + "=" + crashpoint.AsynchronousStandby}, args...)
	require.Equal(t, 1, code)
	require.Positive(t, v.Runs[0].Lost)
	code, v = onSQLite(t).verify(t, file, nil, args...)
	require.Zero(t, code)
	require.Equal(t, 1, v.Runs[0].Recovery["failover"].Times)
	require.Zero(t, v.Runs[0].Lost+v.Runs[0].Doubled+v.Runs[0].Unexpected)
}

// A run that is interrupted says so and leaves nothing behind.
func TestVerify_Interrupted(t *testing.T) {
	onEach(t, func(t *testing.T, p place) {
		cmd := p.command("verify", "--messages", "1000000", "--kills", "1000")
		require.NoError(t, cmd.Start())
		made := func() bool { return leftOf(t, p) > 0 }
		require.Eventually(t, made, within, 10*time.Millisecond)
		require.NoError(t, cmd.Process.Signal(syscall.SIGINT))
		require.Error(t, cmd.Wait())
		require.Equal(t, 1, cmd.ProcessState.ExitCode())
		requireNothingLeft(t, p)
	})
}

// requireNothingLeft asks the broker only if it is the tests' own: no other can
// be asked what it has.
func requireNothingLeft(t *testing.T, p place) {
	t.Helper()
	require.Zero(t, leftOf(t, p), "files and schemas of a run")
	if prefix := p.settings["transport.prefix"]; prefix != "" && os.Getenv(testserver.URLVariable) == "" {
		for _, list := range []string{"list_queues", "list_exchanges"} {
			names, err := broker.get(t).Ctl(t.Context(), list, "name")
			require.NoError(t, err)
			require.NotContains(t, names, prefix)
		}
	}
}

// leftOf counts the files and schemas of runs in a place.
func leftOf(t *testing.T, p place) int {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(p.dir, "*verify*"))
	require.NoError(t, err)
	schemas := 0
	if p.onPostgres() {
		require.NoError(t, p.connect(t, "").QueryRowContext(t.Context(),
			`SELECT count(*) FROM pg_namespace WHERE nspname LIKE 'verify%'`).Scan(&schemas))
	}
	return len(files) + schemas
}
