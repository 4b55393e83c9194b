// Command answering is the site: it takes questions and answers, and tells
// whoever wants to know. With --mode sync it calls each of them while the author
// waits; with --mode async it hands the event to the outbox, and the worker does
// the rest. --measure measures what the author pays for either.
//
// The one thing to know: site.go stores an answer and announces it in one
// transaction, and the modes are two ways to announce: sync.go and async.go.
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
	"strings"
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
		fmt.Fprintln(os.Stderr, "answering:", err)
		os.Exit(1)
	}
}

const (
	modeSync       = "sync"
	modeAsync      = "async"
	modeSubscriber = "subscriber"
)

// run serves until ctx ends, or measures.
func run(ctx context.Context, args []string, out, errOut io.Writer) error {
	flags := flag.NewFlagSet("answering", flag.ContinueOnError)
	flags.SetOutput(errOut)
	mode := flags.String("mode", modeAsync, "sync, async, or subscriber: a service for sync to call")
	file := flags.String("config", "", "the worker's configuration `FILE` (default worker.yaml, if it exists)")
	address := flags.String("listen", "127.0.0.1:8081", "`ADDRESS` to serve at")
	subscribers := flags.String("subscribers", "", "`URL,…` that --mode sync calls for each question and answer")
	delay := flags.Duration("delay", 0, "how long --mode subscriber takes for each event")
	measuring := flags.Bool("measure", false, "measure both modes, with services of its own, and exit")
	plan := defaultPlan()
	flags.IntVar(&plan.Answers, "answers", plan.Answers, "measure: answers in each case, fewer where time runs out")
	flags.DurationVar(&plan.Within, "within", plan.Within, "measure: about the longest that one case takes")
	flags.IntVar(&plan.Authors, "authors", plan.Authors, "measure: authors that answer at a time")
	flags.DurationVar(&plan.Pause, "pause", plan.Pause, "measure: pause of an author between two answers")
	flags.IntVar(&plan.Rounds, "rounds", plan.Rounds, "measure: rounds; figures are their medians")
	output := flags.String("o", "table", "measure: table or json")
	report := flags.String("report", "", "measure: also write the table into this `FILE`, between its marks")
	if err := flags.Parse(args); err != nil {
		return err
	}
	if flags.NArg() > 0 {
		return fmt.Errorf("%q: answering takes flags alone", flags.Arg(0))
	}
	if *mode == modeSubscriber {
		return serve(ctx, *address, newSubscriber(*delay), out)
	}
	loaded, err := config.Load(config.Options{File: *file, Handlers: app.Declare(append(handlers.All(), tellers(caller{urls: make([]string, maxSubscribers)})...))})
	if err != nil {
		return err
	}
	if *measuring {
		return measureAndTell(ctx, loaded.Config, plan, *output, *report, out, errOut)
	}
	s := &site{logger: slog.New(slog.NewTextHandler(errOut, nil))}
	switch {
	case *mode == modeAsync && *subscribers == "":
		s.announce = throughOutbox
	case *mode == modeSync:
		c := newCaller(split(*subscribers))
		defer c.close()
		s.announce = c.announce
	default:
		return fmt.Errorf("--mode %s: it takes sync, async or subscriber, and --subscribers is for sync", *mode)
	}
	if s.db, err = openDatabase(ctx, loaded.Config); err != nil {
		return err
	}
	return errors.Join(serve(ctx, *address, s.routes(), out), s.db.Close())
}

func split(list string) []string {
	return strings.FieldsFunc(list, func(c rune) bool { return c == ',' })
}

// openDatabase opens the worker's database, which is the site's as well, and
// sees to the tables.
func openDatabase(ctx context.Context, cfg config.Config) (*database.DB, error) {
	db, err := database.Open(ctx, database.Config(cfg.Database))
	if err != nil {
		return nil, err
	}
	if cfg.Migrate {
		err = db.Migrate(ctx)
	}
	if err == nil {
		err = createTables(ctx, db)
	}
	if err != nil {
		return nil, errors.Join(err, db.Close())
	}
	return db, nil
}

// stopWithin is how long requests may go on when the program is told to stop.
const stopWithin = 20 * time.Second
