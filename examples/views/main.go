// Command views is the worker with one more handler, from outside: it counts
// how often each question was looked at. It is there to be copied, for a
// handler that shall not be part of this project.
//
// The one thing to know: views.go is the handler, table.go is where its effect
// lands, and cli.Main gives the program every verb of the worker.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"

	"github.com/answerfeed/answerfeed/app"
	"github.com/answerfeed/answerfeed/app/cli"
	"github.com/answerfeed/answerfeed/config"
	"github.com/answerfeed/answerfeed/handlers"
)

func main() {
	if len(os.Args) > 1 && os.Args[1] == "top" { // a verb of its own
		err := top(context.Background(), os.Args[2:], os.Stdout)
		if err != nil && !errors.Is(err, flag.ErrHelp) {
			fmt.Fprintln(os.Stderr, "views:", err)
			os.Exit(1)
		}
		return
	}
	cli.Main(all()...)
}

// all are the worker's own handlers and the one from here.
func all() []handlers.Handler { return append(handlers.All(), Views()) }

// top prints the most viewed questions.
func top(ctx context.Context, args []string, out io.Writer) error {
	flags := flag.NewFlagSet("views top", flag.ContinueOnError)
	file := flags.String("config", "", "configuration `FILE` (default worker.yaml, if it exists)")
	n := flags.Int("n", 5, "print `N` questions")
	if err := flags.Parse(args); err != nil {
		return err
	}
	loaded, err := config.Load(config.Options{File: *file, Handlers: app.Declare(all())})
	if err != nil {
		return err
	}
	return printTop(ctx, loaded.Config.Database, *n, out)
}
