package outside_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

const project = "github.com/answerfeed/answerfeed"

var moduleLine = regexp.MustCompile(`(?m)^module .*$`)

// An example builds in a module of its own, to which what is internal here is
// closed, and the program works.
func TestExamples_BuildOutsideTheProject(t *testing.T) {
	root, err := filepath.Abs("../..")
	require.NoError(t, err)
	for example, says := range map[string]string{"views": "backlog", "webhook": "-config"} {
		t.Run(example, func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			files, err := filepath.Glob(filepath.Join(root, "examples", example, "*.go"))
			require.NoError(t, err)
			require.NotEmpty(t, files)
			for _, file := range files {
				if !strings.HasSuffix(file, "_test.go") {
					copyFile(t, file, filepath.Join(dir, filepath.Base(file)), func(text string) string { return text })
				}
			}
			copyFile(t, filepath.Join(root, "go.sum"), filepath.Join(dir, "go.sum"), func(text string) string { return text })
			copyFile(t, filepath.Join(root, "go.mod"), filepath.Join(dir, "go.mod"), func(text string) string {
				return moduleLine.ReplaceAllString(text, "module example.com/"+example) +
					"\nrequire " + project + " v0.0.0\n\nreplace " + project + " => " + root + "\n"
			})

			program := filepath.Join(dir, "program")
			run(t, dir, "go", "build", "-mod=mod", "-o", program, ".")
			require.Contains(t, run(t, dir, program, "--help"), says)
		})
	}
}

func copyFile(t *testing.T, from, to string, change func(string) string) {
	t.Helper()
	text, err := os.ReadFile(from)
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(to, []byte(change(string(text))), 0o600))
}

func run(t *testing.T, dir, name string, args ...string) string {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), name, args...)
	cmd.Dir, cmd.Env = dir, append(os.Environ(), "GOPROXY=off", "GOWORK=off")
	out, err := cmd.CombinedOutput()
	require.NoError(t, err, string(out))
	return string(out)
}
