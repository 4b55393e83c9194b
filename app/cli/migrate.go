package cli

import (
	"fmt"

	"github.com/spf13/cobra"
)

func (c *cli) migrate() *cobra.Command {
	var prune string
	cmd := &cobra.Command{
		Use:   "migrate",
		Short: "Create or upgrade tables and queues",
		Long: `Migrate brings the tables and queues of the configured transport and database up to date. Migrations only add, so
workers of the version before go on beside it. "run" does the same unless the configuration says migrate: false.

--prune HANDLER instead removes the queues of a handler that is no longer wanted, with the messages in them.`,
		RunE: func(cmd *cobra.Command, _ []string) error {
			client, err := c.open(cmd.Context(), map[string]any{"migrate": "true"})
			if err != nil {
				return err
			}
			defer client.Close() //nolint:errcheck // it is committed
			if prune == "" {
				fmt.Fprintln(c.Err, "tables and queues are up to date")
				return nil
			}
			names, err := client.Prune(cmd.Context(), prune)
			for _, name := range names {
				fmt.Fprintf(c.Err, "removed %s\n", name)
			}
			if err == nil && len(names) == 0 {
				return fmt.Errorf("handler %q has no queues; see `worker backlog`", prune)
			}
			return err
		},
	}
	cmd.Flags().StringVar(&prune, "prune", "", "remove the queues of `HANDLER` and what is in them")
	return cmd
}
