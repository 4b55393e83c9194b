// Command bench measures the worker, on RabbitMQ and on PostgreSQL, against its
// peers: the bare client in a loop written by hand, stock Watermill, River and
// Celery. It is for whoever asks what the worker's guarantees cost.
//
// The one thing to know: it starts servers of its own, every round measures
// every peer, one after the other, and figures are the rounds' medians. What
// counts is the ratio of two peers within a round: the machine is the same.
package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"slices"
	"strings"
	"syscall"

	"github.com/answerfeed/answerfeed/app/database"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	var err error
	if job := os.Getenv(jobVariable); job != "" {
		err = child(context.Background(), job, os.Stdin, os.Stdout) // its parent ends it
	} else {
		err = run(ctx, os.Args[1:], os.Stdout, os.Stderr)
	}
	if err != nil && ctx.Err() != nil {
		err = errors.New("interrupted")
	}
	stop()
	if err != nil && !errors.Is(err, flag.ErrHelp) {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

// settings are the command line.
type settings struct {
	// Transports are those that are measured.
	Transports []string `json:"transports"`
	// Database is where the effect is: "sqlite" or "postgres".
	Database string `json:"database"`
	// Messages are drained by each peer in a round; by a slow one, fewer.
	Messages int `json:"messages"`
	// Waiting is how many messages wait behind those that are drained, in the
	// larger backlog on PostgreSQL.
	Waiting int `json:"waiting"`
	// Rounds measure each thing once.
	Rounds int `json:"rounds"`
	// Peers are the names of what is measured; see all.
	Peers []string `json:"peers"`
	// Seconds is how long one round of the latency lasts.
	Seconds int `json:"latency_seconds"`

	output, report, profile string
}

// fewer is how many times smaller the smaller backlog is.
const fewer = 100

func parse(args []string, errOut io.Writer) (s settings, err error) {
	flags := flag.NewFlagSet("bench", flag.ContinueOnError)
	flags.SetOutput(errOut)
	transport := flags.String("transport", "all", "amqp, sql, or all; with -database sqlite, all is amqp")
	flags.StringVar(&s.Database, "database", database.Postgres, "where the effect is: postgres or sqlite")
	flags.IntVar(&s.Messages, "messages", 100_000, "messages that each peer drains in a round, and half of that publishes; slow peers less")
	flags.IntVar(&s.Waiting, "waiting", 1_000_000, "messages that wait in the larger backlog on PostgreSQL")
	flags.IntVar(&s.Rounds, "rounds", 5, "rounds; figures are their medians")
	flags.IntVar(&s.Seconds, "latency-seconds", 6, "length of each round of the latency")
	peers := flags.String("peers", "", "what to measure, separated by commas (default all): "+strings.Join(measurements(onAMQP, onSQL), ","))
	flags.StringVar(&s.output, "o", "table", "table or json")
	flags.StringVar(&s.report, "report", "", "also write Markdown reports and a chart into this `FOLDER`")
	flags.StringVar(&s.profile, "profile", "", "write a processor and an allocation profile of each peer's last drain to this `FOLDER`")
	if err := flags.Parse(args); err != nil {
		return s, err
	}
	if flags.NArg() > 0 {
		return s, fmt.Errorf("%q: bench takes flags alone", flags.Arg(0))
	}
	switch {
	case *transport == "all" && s.Database == database.Postgres:
		s.Transports = []string{onAMQP, onSQL}
	case *transport == "all":
		s.Transports = []string{onAMQP}
	default:
		s.Transports = []string{*transport}
	}
	s.Peers = measurements(s.Transports...)
	if *peers != "" {
		s.Peers = strings.Split(*peers, ",")
	}
	return s, s.check()
}

func (s settings) check() error {
	for _, t := range s.Transports {
		if t != onAMQP && t != onSQL {
			return fmt.Errorf("-transport: %q; it takes amqp, sql or all", t)
		}
	}
	for _, p := range s.Peers {
		if known := measurements(s.Transports...); !slices.Contains(known, p) {
			return fmt.Errorf("-peers: %q is not known here; there are %s", p, strings.Join(known, ", "))
		}
	}
	switch {
	case s.Database != database.SQLite && s.Database != database.Postgres:
		return fmt.Errorf("-database: %q; it takes postgres or sqlite", s.Database)
	case s.Database == database.SQLite && slices.Contains(s.Transports, onSQL):
		return errors.New("-transport: the SQL transport is measured on PostgreSQL, with the effect there")
	case s.Messages < 100 || s.Waiting < fewer || s.Rounds < 1 || s.Seconds < 1:
		return fmt.Errorf("it takes at least 100 messages, %d waiting, 1 round and 1 second", fewer)
	case s.output != "table" && s.output != "json":
		return fmt.Errorf("-o: %q; it takes table or json", s.output)
	}
	return nil
}

// run measures and writes what was measured.
func run(ctx context.Context, args []string, out, errOut io.Writer) error {
	s, err := parse(args, errOut)
	if err != nil {
		return err
	}
	r, err := measure(ctx, s, errOut)
	if err != nil {
		return err
	}
	if s.report != "" {
		if err := r.write(s.report, args); err != nil {
			return fmt.Errorf("writing reports: %w", err)
		}
	}
	if s.output == "json" {
		e := json.NewEncoder(out)
		e.SetIndent("", "  ")
		return e.Encode(r)
	}
	_, err = io.WriteString(out, r.table())
	return err
}
