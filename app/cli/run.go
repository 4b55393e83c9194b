package cli

import (
	"errors"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/answerfeed/answerfeed/app"
)

func (c *cli) run() *cobra.Command {
	var demo bool
	var rate float64
	var listen string
	cmd := &cobra.Command{
		Use:   "run",
		Short: "Run the enabled handlers and the web server",
		Long: `Run consumes events with the enabled handlers and serves the feed until SIGTERM or SIGINT; then it takes in
nothing more, lets what is in flight finish (up to 20 s), and exits with 0. A second signal kills it.

Tables and queues are created and upgraded first, unless the configuration says migrate: false.`,
		Example: `  worker run
  worker run --demo --rate 5
  worker run --config /etc/answerfeed/worker.yaml`,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if cmd.Flags().Changed("rate") && !demo {
				return usageError{errors.New("--rate goes with --demo")}
			}
			if !(rate > 0 && rate <= 10000) { // NaN is neither
				return usageError{fmt.Errorf("--rate %g: it must be more than 0 and at most 10000 events a second", rate)}
			}
			overrides := map[string]any{}
			if listen != "" {
				overrides["web.listen"] = listen
			}
			loaded, err := c.load(overrides)
			if err != nil {
				return err
			}
			opts := c.options(loaded.Config)
			logWarnings(opts.Logger, loaded)
			if demo {
				opts.Demo = rate
			}
			app.TuneGC(loaded.Config.Memory)
			return app.Run(cmd.Context(), opts)
		},
	}
	cmd.Flags().BoolVar(&demo, "demo", false, "publish invented questions and answers, too")
	cmd.Flags().Float64Var(&rate, "rate", 2, "of the demo, in `EVENTS` a second")
	cmd.Flags().StringVar(&listen, "listen", "", "`ADDRESS` of the web server, in place of web.listen")
	return cmd
}
