package cli

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/exec"
	"time"

	"github.com/spf13/cobra"

	"github.com/answerfeed/answerfeed/app"
	"github.com/answerfeed/answerfeed/config"
	"github.com/answerfeed/answerfeed/handlers"
	"github.com/answerfeed/answerfeed/internal/verify"
)

// verifyWindow is how many messages a process of a run has in flight: what its
// death makes come again.
const verifyWindow = 250

// verifyHandlers are those of a run. With the zero Process they only name
// their queues.
func verifyHandlers(delivered, handled io.Writer) []handlers.Handler {
	var all []handlers.Handler
	for name, handle := range map[string]func(*verify.Handler) func(context.Context, []byte) error{
		verify.HandlerName:    func(h *verify.Handler) func(context.Context, []byte) error { return h.Handle },
		verify.ConvergingName: func(h *verify.Handler) func(context.Context, []byte) error { return h.Converge },
	} {
		all = append(all, handlers.Handler{
			Name: name,
			Topics: func(env handlers.Env) []handlers.Topic {
				return []handlers.Topic{{Name: verify.Topic, Handle: handle(verify.NewHandler(env.DB, delivered, handled))}}
			},
		})
	}
	return all
}

// verifyConfig is what was configured, with these settings in place, for the
// handler of a run.
func (c *cli) verifyConfig(settings map[string]string) (config.Config, error) {
	redeliver := make([]time.Duration, config.MaxRedeliver)
	for i := range redeliver {
		redeliver[i] = time.Second
	}
	own := config.DefaultHandler()
	own.Concurrency = verifyWindow
	own.Retry.Attempts, own.Retry.Redeliver = 1, redeliver
	overrides := map[string]any{"web.listen": "127.0.0.1:0", "alerts.url": "", "migrate": true, "relay.enabled": true}
	for key, value := range settings {
		overrides[key] = value
	}
	loaded, err := config.Load(config.Options{
		File: c.file, Overrides: overrides,
		Handlers: append(app.Declare(c.Handlers),
			config.HandlerDecl{Name: verify.HandlerName, Defaults: own}, config.HandlerDecl{Name: verify.ConvergingName, Defaults: own}),
	})
	if err != nil {
		return config.Config{}, usageError{err}
	}
	return loaded.Config, nil
}

func (c *cli) verifyOptions(settings map[string]string, logger *slog.Logger, delivered, handled io.Writer) (app.Options, error) {
	cfg, err := c.verifyConfig(settings)
	return app.Options{Config: cfg, Handlers: verifyHandlers(delivered, handled), Logger: logger}, err
}

// verifyOpen opens transport and database as the run itself uses them.
func (c *cli) verifyOpen(ctx context.Context, settings map[string]string) (verify.Client, error) {
	opts, err := c.verifyOptions(settings, slog.New(slog.DiscardHandler), io.Discard, io.Discard)
	if err != nil {
		return nil, err
	}
	return app.Open(ctx, opts)
}

// verifyRemove removes what a run made in a broker; a database's goes with its
// schema or file.
func (c *cli) verifyRemove(ctx context.Context, settings map[string]string) error {
	opts, err := c.verifyOptions(settings, slog.New(slog.DiscardHandler), io.Discard, io.Discard)
	if err != nil || opts.Config.Transport.Kind != config.KindAMQP {
		return err
	}
	return app.Remove(ctx, opts)
}

// verifyCommand is this program as a process of a run.
func (c *cli) verifyCommand() (*exec.Cmd, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, fmt.Errorf("looking for this program: %w", err)
	}
	args := []string{"verify", "process"}
	if c.file != "" {
		args = append(args, "--config", c.file)
	}
	return exec.CommandContext(context.Background(), self, args...), nil // the run ends it
}

func (c *cli) verifyProcess() *cobra.Command {
	return &cobra.Command{
		Use:    "process",
		Short:  "Be a process of a run; for the run to call",
		Hidden: true,
		RunE: func(cmd *cobra.Command, _ []string) error {
			var p verify.Process
			in := json.NewDecoder(c.In)
			if err := in.Decode(&p); err != nil {
				return usageError{fmt.Errorf("reading what to do from standard input: %w", err)}
			}
			// A run that was killed must leave no process behind.
			ctx, cancel := context.WithCancel(cmd.Context())
			defer cancel()
			go func() {
				defer cancel()
				_, _ = io.Copy(io.Discard, c.In)
			}()
			return c.beProcess(ctx, p)
		},
	}
}

// beProcess works until ctx ends.
func (c *cli) beProcess(ctx context.Context, p verify.Process) error {
	// One write of a byte in append mode is whole or not there, also when the
	// process is killed.
	const mode = os.O_APPEND | os.O_CREATE | os.O_WRONLY
	delivered, err := os.OpenFile(p.Delivered, mode, 0o600)
	if err != nil {
		return fmt.Errorf("opening a file of the run: %w", err)
	}
	defer delivered.Close()
	handled, err := os.OpenFile(p.Handled, mode, 0o600)
	if err != nil {
		return fmt.Errorf("opening a file of the run: %w", err)
	}
	defer handled.Close()
	logger := slog.New(app.LogHandler(slog.NewTextHandler(c.Err, &slog.HandlerOptions{Level: slog.LevelWarn})))
	p.Settings["migrate"] = "false" // the run has migrated
	opts, err := c.verifyOptions(p.Settings, logger, delivered, handled)
	if err != nil {
		return err
	}
	if p.Requeue {
		return c.requeueCurable(ctx, opts)
	}
	app.TuneGC(opts.Config.Memory)
	a, err := app.New(ctx, opts)
	if err != nil {
		return err
	}
	if err = a.Start(ctx); err == nil {
		fmt.Fprintln(c.Out, "working")
		err = a.Wait(ctx)
	}
	return errors.Join(err, a.Stop(context.WithoutCancel(ctx)))
}

func (c *cli) requeueCurable(ctx context.Context, opts app.Options) error {
	client, err := app.Open(ctx, opts)
	if err != nil {
		return err
	}
	fmt.Fprintln(c.Out, "working")
	return errors.Join(verify.Requeue(ctx, client.Desk(verify.HandlerName)), client.Close())
}
