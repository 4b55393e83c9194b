// Command views is the worker with one more handler, from outside: it counts
// how often each question was looked at. It is there to be copied, for a
// handler that shall not be part of this project.
//
// The one thing to know: views.go is the handler, table.go is where its effect
// lands, and this file is all that a program needs around the two.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/signal"
	"syscall"

	"github.com/answerfeed/answerfeed/app"
	"github.com/answerfeed/answerfeed/config"
	"github.com/answerfeed/answerfeed/handlers"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	context.AfterFunc(ctx, stop) // a second signal kills
	err := run(ctx, os.Args[1:], os.Stdout)
	stop()
	if err != nil && !errors.Is(err, flag.ErrHelp) {
		fmt.Fprintln(os.Stderr, "views:", err)
		os.Exit(1)
	}
}

// run handles events until ctx ends, or prints what was counted.
func run(ctx context.Context, args []string, out io.Writer) error {
	flags := flag.NewFlagSet("views", flag.ContinueOnError)
	file := flags.String("config", "", "configuration `FILE` (default worker.yaml, if it exists)")
	top := flags.Int("top", 0, "print the `N` most viewed questions, and exit")
	if err := flags.Parse(args); err != nil {
		return err
	}
	all := append(handlers.All(), Views())
	loaded, err := config.Load(config.Options{File: *file, Handlers: app.Declare(all)})
	if err != nil {
		return err
	}
	if *top > 0 {
		return printTop(ctx, loaded.Config.Database, *top, out)
	}
	return app.Run(ctx, app.Options{
		Config: loaded.Config, Handlers: all,
		Logger: slog.New(app.LogHandler(slog.NewTextHandler(os.Stderr, nil))),
	})
}
