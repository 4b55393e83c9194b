// Command lastone is a worker that sells things of which there is one each:
// whoever ordered first has bought it, in whatever order the orders arrive. It
// shows a saga in the small: a decision that was right when it was made, and the
// compensation when an earlier order comes late.
//
// The one thing to know: the winner is a function of the orders, the earliest
// by time; and what is said about it, won or revoked, is published in the
// transaction that makes it true.
package main

import (
	"context"
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
	err := run(ctx)
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "lastone:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context) error {
	logger := slog.New(app.LogHandler(slog.NewTextHandler(os.Stderr, nil)))
	all := append(handlers.All(), shop(), notices(logger))
	loaded, err := config.Load(config.Options{Handlers: app.Declare(all)})
	if err != nil {
		return err
	}
	return app.Run(ctx, app.Options{Config: loaded.Config, Handlers: all, Logger: logger})
}
