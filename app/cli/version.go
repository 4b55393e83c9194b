package cli

import (
	"cmp"
	"fmt"
	"runtime"
	"runtime/debug"

	"github.com/spf13/cobra"
)

func (c *cli) version() *cobra.Command {
	var format string
	cmd := &cobra.Command{
		Use:   "version",
		Short: "Tell version, commit and Go version",
		RunE: func(*cobra.Command, []string) error {
			version, commit := build()
			if format == "json" {
				return c.json(map[string]string{"version": version, "commit": commit, "go": runtime.Version()})
			}
			_, err := fmt.Fprintln(c.Out, c.versionLine())
			return err
		},
	}
	outputFlag(cmd, &format)
	return cmd
}

// versionLine is also what --version says.
func (c *cli) versionLine() string {
	version, commit := build()
	return fmt.Sprintf("%s %s, commit %s, %s", c.Name, version, commit, runtime.Version())
}

// build reads what the Go toolchain wrote into the binary.
func build() (version, commit string) {
	info, _ := debug.ReadBuildInfo()
	if info == nil {
		return "unknown", "unknown"
	}
	for _, s := range info.Settings {
		if s.Key == "vcs.revision" {
			commit = s.Value
		}
	}
	return cmp.Or(info.Main.Version, "unknown"), cmp.Or(commit, "unknown")
}
