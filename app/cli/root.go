package cli

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/answerfeed/answerfeed/app"
	"github.com/answerfeed/answerfeed/config"
)

// Exit codes.
const (
	exitDone   = 0
	exitFailed = 1 // or partly failed
	exitUsage  = 2 // wrong usage or configuration
)

// usageError is a mistake in how the program was called.
type usageError struct{ error }

func (e usageError) Unwrap() error { return e.error }

// errReported fails a verb that has already told what went wrong.
var errReported = errors.New("see above")

// cli is what the verbs share.
type cli struct {
	Options
	file   string   // --config
	ending []func() // of what the verb opened for its logs
}

func newRoot(c *cli) *cobra.Command {
	o := c.Options
	root := &cobra.Command{
		Use:   o.Name,
		Short: "Brings each answer to the feed, and to whoever else cares",
		Long: o.Name + ` consumes the events of a question-and-answer site from a SQL table or RabbitMQ.
Each handler has a queue of its own; nothing is lost, and effects happen once.

Without a configuration it runs on an embedded database in the working directory:

  worker run --demo        # a living feed of invented questions, at http://127.0.0.1:8080/
  worker run               # and in a second terminal:
  worker import stackexchange Posts.xml

Exit status: 0 done; 1 failed or partly failed; 2 wrong usage or configuration.`,
		SilenceErrors: true,
		SilenceUsage:  true,
	}
	root.SetIn(o.In)
	root.SetOut(o.Out)
	root.SetErr(o.Err)
	root.Version = c.versionLine()
	root.SetVersionTemplate("{{.Version}}\n")
	root.PersistentFlags().StringVar(&c.file, "config", "", "configuration `FILE` (default worker.yaml, if it exists)")
	root.SetFlagErrorFunc(func(cmd *cobra.Command, err error) error {
		return usageError{fmt.Errorf("%w; see %s --help", err, cmd.CommandPath())}
	})
	root.AddCommand(c.run(), c.publish(), c.importer(), c.deadletters(), c.backlog(), c.migrate(), c.relay(), c.bench(), c.verify(), c.config(), c.health(), c.version())
	root.InitDefaultCompletionCmd() // as strict as the others
	strictArgs(root)
	nameVerbs(root, verbNames(root))
	return root
}

// stockName is the program that help texts and errors speak of.
const stockName = "worker"

// verbNames puts the program's name in place of the stock one wherever a text
// tells of a verb, such as «worker migrate».
func verbNames(root *cobra.Command) *strings.Replacer {
	var pairs []string
	for _, verb := range root.Commands() {
		pairs = append(pairs, stockName+" "+verb.Name(), root.Name()+" "+verb.Name())
	}
	return strings.NewReplacer(pairs...)
}

func nameVerbs(cmd *cobra.Command, names *strings.Replacer) {
	cmd.Long, cmd.Example = names.Replace(cmd.Long), names.Replace(cmd.Example)
	for _, sub := range cmd.Commands() {
		nameVerbs(sub, names)
	}
}

// strictArgs makes wrong arguments of any verb a usage error. A verb that only
// has verbs of its own tells of them; cobra would do so for a wrong one, too.
func strictArgs(cmd *cobra.Command) {
	if !cmd.Runnable() {
		cmd.RunE = func(cmd *cobra.Command, _ []string) error { return cmd.Help() }
	}
	check := cmd.Args
	if check == nil {
		check = cobra.NoArgs
	}
	cmd.Args = func(cmd *cobra.Command, args []string) error {
		if err := check(cmd, args); err != nil {
			return usageError{fmt.Errorf("%w; see %s --help", err, cmd.CommandPath())}
		}
		return nil
	}
	for _, sub := range cmd.Commands() {
		strictArgs(sub)
	}
}

// load reads the configuration. overrides are settings given as flags.
func (c *cli) load(overrides map[string]any) (*config.Loaded, error) {
	loaded, err := config.Load(config.Options{
		File: c.file, Handlers: app.Declare(c.Handlers), Overrides: overrides,
	})
	if err != nil {
		return nil, usageError{err}
	}
	return loaded, nil
}

// showWarnings tells what is hardly meant in a valid configuration.
func (c *cli) showWarnings(loaded *config.Loaded) {
	for _, w := range loaded.Warnings {
		fmt.Fprintf(c.Err, "%s: warning: %s\n", c.Name, w)
	}
}

// logWarnings does so for what runs for long, whose lines programs read.
func logWarnings(logger *slog.Logger, loaded *config.Loaded) {
	for _, w := range loaded.Warnings {
		logger.Warn("a setting is hardly meant so", "setting", w.String())
	}
}

// options are those of an App or Client with this configuration.
func (c *cli) options(cfg config.Config) app.Options {
	return app.Options{Config: cfg, Handlers: c.Handlers, Logger: c.logger(cfg.Log)}
}

// answersWithin is how long a verb waits for a broker or database that is
// away: so it ends within 5 s. Only run waits longer.
const answersWithin = 4 * time.Second

// open opens the configured transport and database.
func (c *cli) open(ctx context.Context, overrides map[string]any) (*app.Client, error) {
	return c.openBy(ctx, overrides, app.Open)
}

// openQueues opens the transport alone, for verbs that need no table.
func (c *cli) openQueues(ctx context.Context) (*app.Client, error) {
	return c.openBy(ctx, nil, app.OpenQueues)
}

func (c *cli) openBy(ctx context.Context, overrides map[string]any, open func(context.Context, app.Options) (*app.Client, error)) (*app.Client, error) {
	loaded, err := c.load(overrides)
	if err != nil {
		return nil, err
	}
	c.showWarnings(loaded)
	o := c.options(loaded.Config)
	o.ConnectWithin = answersWithin
	return open(ctx, o)
}
