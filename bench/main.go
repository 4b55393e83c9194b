// Command bench measures the worker on RabbitMQ against its peers: the bare
// client in a loop written by hand, and stock Watermill. It is for whoever
// asks what the worker's guarantees cost.
//
// The one thing to know: it starts a broker of its own, every round measures
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
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	var err error
	if job := os.Getenv(jobVariable); job != "" {
		err = child(context.Background(), job, os.Stdin, os.Stdout) // its parent ends it
	} else {
		err = run(ctx, os.Args[1:], os.Stdout, os.Stderr)
	}
	stop()
	if err != nil && !errors.Is(err, flag.ErrHelp) {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

// settings are the command line.
type settings struct {
	// Messages are drained by each peer in a round; by a slow one, fewer.
	Messages int `json:"messages"`
	// Rounds measure each thing once.
	Rounds int `json:"rounds"`
	// Peers are the names of what is measured; see measurements.
	Peers []string `json:"peers"`
	// Seconds is how long one round of the latency lasts.
	Seconds int `json:"latency_seconds"`

	output, report, profile string
}

func parse(args []string, errOut io.Writer) (s settings, err error) {
	flags := flag.NewFlagSet("bench", flag.ContinueOnError)
	flags.SetOutput(errOut)
	flags.IntVar(&s.Messages, "messages", 100_000, "messages that each peer drains in a round, and half of that publishes; slow peers less")
	flags.IntVar(&s.Rounds, "rounds", 5, "rounds; figures are their medians")
	flags.IntVar(&s.Seconds, "latency-seconds", 6, "length of each round of the latency")
	peers := flags.String("peers", "", "what to measure, separated by commas (default all): "+strings.Join(measurements(), ","))
	flags.StringVar(&s.output, "o", "table", "table or json")
	flags.StringVar(&s.report, "report", "", "also write a Markdown report to this `FILE`")
	flags.StringVar(&s.profile, "profile", "", "write a CPU profile of each peer's last drain to this `FOLDER`")
	if err := flags.Parse(args); err != nil {
		return s, err
	}
	s.Peers = measurements()
	if *peers != "" {
		s.Peers = strings.Split(*peers, ",")
	}
	for _, p := range s.Peers {
		if !slices.Contains(measurements(), p) {
			return s, fmt.Errorf("-peers: %q is not known; there are %s", p, strings.Join(measurements(), ", "))
		}
	}
	switch {
	case flags.NArg() > 0:
		return s, fmt.Errorf("%q: bench takes flags alone", flags.Arg(0))
	case s.Messages < 100 || s.Rounds < 1 || s.Seconds < 1:
		return s, errors.New("it takes at least 100 messages, 1 round and 1 second")
	case s.output != "table" && s.output != "json":
		return s, fmt.Errorf("-o: %q; it takes table or json", s.output)
	}
	return s, nil
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
		if err := os.WriteFile(s.report, []byte(r.markdown(args)), 0o644); err != nil {
			return err
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
