// Command webhook is the worker with one more handler, from outside: it tells
// a service of each new answer by an HTTP request. It is there to be copied,
// for a handler whose effect lies in somebody else's hands.
//
// The one thing to know: webhook.go is the handler. What it returns decides
// whether a message is tried again, and not before when.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
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
	err := run(ctx, os.Args[1:])
	stop()
	if err != nil && !errors.Is(err, flag.ErrHelp) {
		fmt.Fprintln(os.Stderr, "webhook:", err)
		os.Exit(1)
	}
}

// run handles events until ctx ends.
func run(ctx context.Context, args []string) error {
	flags := flag.NewFlagSet("webhook", flag.ContinueOnError)
	file := flags.String("config", "", "configuration `FILE` (default worker.yaml, if it exists)")
	if err := flags.Parse(args); err != nil {
		return err
	}
	all := append(handlers.All(), Webhook())
	loaded, err := config.Load(config.Options{File: *file, Handlers: app.Declare(all)})
	if err != nil {
		return err
	}
	return app.Run(ctx, app.Options{
		Config: loaded.Config, Handlers: all,
		Logger: slog.New(app.LogHandler(slog.NewTextHandler(os.Stderr, nil))),
	})
}
