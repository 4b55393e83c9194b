package cli

import (
	"context"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/answerfeed/answerfeed/app"
)

func (c *cli) migrate() *cobra.Command {
	var prune string
	var yes, force bool
	cmd := &cobra.Command{
		Use:   "migrate",
		Short: "Create or upgrade tables and queues",
		Long: `Migrate brings the tables and queues of the configured transport and database up to date. Migrations only add, so
workers of the version before go on beside it. "run" does the same unless the configuration says migrate: false.

--prune HANDLER instead removes the queues of a handler that is no longer wanted, with the messages in them. It tells what
is in them and asks first; where nobody can be asked, it takes --yes. While a worker reads them it takes --force as well.`,
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
			return c.prune(cmd.Context(), client, prune, yes, force)
		},
	}
	cmd.Flags().StringVar(&prune, "prune", "", "remove the queues of `HANDLER` and what is in them")
	cmd.Flags().BoolVar(&yes, "yes", false, "with --prune: do not ask")
	cmd.Flags().BoolVar(&force, "force", false, "with --prune: also while a worker reads the queues")
	return cmd
}

// prune removes a handler's queues, when whoever calls agrees to what is lost.
func (c *cli) prune(ctx context.Context, client *app.Client, handler string, yes, force bool) error {
	holds, err := client.Holds(ctx, handler)
	if err != nil {
		return err
	}
	if holds.Messages() > 0 || holds.Readers > 0 {
		fmt.Fprintf(c.Err, "the queues of %s hold %d ready, %d delayed, %d in flight, %d dead\n", handler, holds.Ready, holds.Delayed, holds.InFlight, holds.Dead)
	}
	if holds.Readers > 0 && !force {
		return fmt.Errorf("a worker reads the queues of %s, or did so within the last 15 s; stop it or disable the handler, or give --force", handler)
	}
	if holds.Messages() > 0 && !yes {
		if !asksPeople(c.Options) {
			return usageError{fmt.Errorf("--prune %s would remove %d messages, and nobody can be asked: give --yes", handler, holds.Messages())}
		}
		if !confirm(c.In, c.Err, fmt.Sprintf("remove %d messages? [y/N] ", holds.Messages())) {
			fmt.Fprintln(c.Err, "removed nothing")
			return nil
		}
	}
	var names []string
	remove := func(ctx context.Context) (err error) {
		names, err = client.Prune(ctx, handler)
		return err
	}
	if holds.Messages() == 0 && holds.Readers == 0 { // nothing is lost, perhaps not even a queue
		err = remove(ctx)
	} else {
		err = client.Desk(operator()).Record(ctx, "prune", "queues of "+handler, int(holds.Messages()), remove)
	}
	for _, name := range names {
		fmt.Fprintf(c.Err, "removed %s\n", name)
	}
	if err == nil && len(names) == 0 {
		return fmt.Errorf("handler %q has no queues; see `worker backlog`", handler)
	}
	return err
}
