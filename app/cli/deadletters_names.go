package cli

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/answerfeed/answerfeed/handlers"
	"github.com/answerfeed/answerfeed/internal/deadletter"
)

// checkNames refuses a --handler or --topic that neither this program nor a
// letter has: a mistyped name would select nothing, and look like good news.
func (c *cli) checkNames(cmd *cobra.Command, desk *deadletter.Desk) error {
	for _, flag := range []string{"handler", "topic"} {
		f := cmd.Flags().Lookup(flag)
		if f == nil || f.Value.String() == "" {
			continue
		}
		names, err := c.names(cmd.Context(), desk, flag)
		if err != nil {
			return err
		}
		if name := plain(f.Value.String()); !slices.Contains(names, name) {
			return usageError{fmt.Errorf("--%s %s: there is no %s of that name here, and no letter of one; there is %s",
				flag, name, flag, strings.Join(names, ", "))}
		}
	}
	return nil
}

// names are those of handlers or topics, of the program and of the letters.
func (c *cli) names(ctx context.Context, desk *deadletter.Desk, of string) ([]string, error) {
	known, err := desk.Known(ctx)
	if err != nil {
		return nil, err
	}
	for _, h := range c.Handlers {
		for _, t := range h.Topics(handlers.Env{Options: h.Options}) {
			known = append(known, deadletter.Queue{Handler: h.Name, Topic: t.Name})
		}
	}
	names := map[string]bool{}
	for _, q := range known {
		if of == "handler" {
			names[plain(q.Handler)] = true
		} else {
			names[plain(q.Topic)] = true
		}
	}
	return slices.Sorted(maps.Keys(names)), nil
}
