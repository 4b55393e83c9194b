// Command saga is a site whose answers are published at once and moderated
// afterwards: an accepted one earns its author points, and one that is refused,
// or not judged in time, is undone everywhere. It is there to be copied, for
// work that goes through several services and cannot be one transaction.
//
// The one thing to know: each step is one transaction of the inbox's note, its
// effect and the events that it sends (steps.go), so whatever dies, each saga
// goes on from its last step, and none does a step twice.
//
//	POST answer ─▶ answer-added ─▶ moderation ─▶ answer-moderated ─▶ decision
//	                    │                                             │    │
//	          feed, leaderboard                         answer-accepted    answer-removed
//	                                                           │                │
//	                                             points for the author    everybody forgets it
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
	"time"

	"github.com/answerfeed/answerfeed/app"
	"github.com/answerfeed/answerfeed/app/database"
	"github.com/answerfeed/answerfeed/config"
	"github.com/answerfeed/answerfeed/handlers"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	context.AfterFunc(ctx, stop) // a second signal kills
	err := run(ctx, os.Args[1:], os.Stdout, os.Stderr)
	stop()
	if err != nil && !errors.Is(err, flag.ErrHelp) {
		fmt.Fprintln(os.Stderr, "saga:", err)
		os.Exit(1)
	}
}

// run is the site and the worker in one process, until ctx ends.
func run(ctx context.Context, args []string, out, errOut io.Writer) (err error) {
	flags := flag.NewFlagSet("saga", flag.ContinueOnError)
	flags.SetOutput(errOut)
	file := flags.String("config", "", "the worker's configuration `FILE` (default worker.yaml, if it exists)")
	address := flags.String("listen", "127.0.0.1:8081", "`ADDRESS` of the site; the worker's pages are where the configuration says")
	within := flags.Duration("within", 10*time.Second, "how long moderation may take")
	if err := flags.Parse(args); err != nil {
		return err
	}
	if flags.NArg() > 0 || *within <= 0 {
		return errors.New("it takes flags alone, and moderation needs some time")
	}
	logger := slog.New(app.LogHandler(slog.NewTextHandler(errOut, nil)))
	all := append(handlers.All(), sagaHandlers(logger)...)
	loaded, err := config.Load(config.Options{File: *file, Handlers: app.Declare(all)})
	if err != nil {
		return err
	}
	db, err := database.Open(ctx, database.Config(loaded.Config.Database))
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, db.Close()) }()
	if loaded.Config.Migrate {
		if err := errors.Join(db.Migrate(ctx), createTables(ctx, db)); err != nil {
			return err
		}
	}
	s := &site{steps: steps{db, logger}, within: *within}
	return together(ctx,
		func(ctx context.Context) error {
			return app.Run(ctx, app.Options{Config: loaded.Config, Handlers: all, Logger: logger})
		},
		func(ctx context.Context) error { return s.serve(ctx, *address, out) },
		func(ctx context.Context) error { return s.watch(ctx) },
	)
}

// together runs all until ctx ends, or one does; then it ends the others. That
// one was told to end before it had begun is no error.
func together(outer context.Context, all ...func(context.Context) error) (err error) {
	ctx, cancel := context.WithCancel(outer)
	defer cancel()
	ended := make(chan error, len(all))
	for _, one := range all {
		go func() { ended <- one(ctx) }()
	}
	for range all {
		if why := <-ended; outer.Err() == nil || !errors.Is(why, context.Canceled) {
			err = errors.Join(err, why)
		}
		cancel()
	}
	return err
}
