package cli

import (
	"bytes"
	"cmp"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/answerfeed/answerfeed/config"
	"github.com/answerfeed/answerfeed/internal/printable"
)

func (c *cli) config() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "config",
		Short: "Check or show the configuration",
	}
	check := &cobra.Command{
		Use:   "check",
		Short: "Report every problem of the configuration",
		Long: `Check reads the configuration file and the WORKER_* environment and reports every problem at once, with file, line,
column and key. It touches neither database nor broker.`,
		RunE: func(*cobra.Command, []string) error {
			loaded, err := c.load(nil)
			if err != nil {
				return err
			}
			c.showWarnings(loaded)
			fmt.Fprintf(c.Err, "%s: no problem found\n", cmp.Or(loaded.File, "the defaults and the environment"))
			return nil
		},
	}
	var format string
	show := &cobra.Command{
		Use:   "show",
		Short: "Show the effective configuration and where each value comes from",
		Long: `Show writes the configuration that a run would have, with the origin of each value (default, FILE:LINE, or a variable),
passwords masked, and when each handler tries a failing message again.`,
		RunE: func(*cobra.Command, []string) error {
			if format != config.FormatYAML && format != config.FormatJSON {
				return usageError{fmt.Errorf("-o %s: there is yaml and json", format)}
			}
			loaded, err := c.load(nil)
			if err != nil {
				return err
			}
			if format == config.FormatYAML {
				return loaded.Show(c.Out, format)
			}
			var text bytes.Buffer
			if err := loaded.Show(&text, format); err != nil {
				return err
			}
			_, err = c.Out.Write(printable.JSON(text.Bytes()))
			return err
		},
	}
	show.Flags().StringVarP(&format, "output", "o", config.FormatYAML, "`FORMAT`: yaml or json")
	cmd.AddCommand(check, show)
	return cmd
}
