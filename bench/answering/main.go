// Command answering draws what examples/answering measured: how long the author
// of an answer waits, and whether it is accepted, in sync and in async mode. It
// is in this module so that the drawing stays out of the worker's go.mod.
//
// The one thing to know: it measures nothing. It reads the JSON that
// `go run ./examples/answering --measure -o json` writes; `make answering` does
// both.
package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"time"
)

func main() {
	if err := run(os.Args[1:], os.Stdin); err != nil {
		fmt.Fprintln(os.Stderr, "answering:", err)
		os.Exit(1)
	}
}

// run draws the result on in to the file that is named.
func run(args []string, in io.Reader) error {
	if len(args) != 1 {
		return errors.New("usage: answering FILE.png < RESULT.json")
	}
	var r result
	if err := json.NewDecoder(in).Decode(&r); err != nil {
		return fmt.Errorf("reading the result: %w", err)
	}
	if len(r.Measured) == 0 {
		return errors.New("the result has nothing in it")
	}
	return r.draw(args[0])
}

// result is what is drawn of the measurement.
type result struct {
	Where    string     `json:"where"`
	Measured []measured `json:"measured"`
}

// measured is a case in one mode.
type measured struct {
	Mode        string        `json:"mode"`
	Subscribers int           `json:"subscribers"`
	Slow        int           `json:"slow"`
	Delay       time.Duration `json:"delay_ns"`
	Down        bool          `json:"down"`
	Rounds      []round       `json:"rounds"`
}

type round struct {
	Answers  int           `json:"answers"`
	Accepted int           `json:"accepted"`
	P50      time.Duration `json:"p50_ns"`
	P99      time.Duration `json:"p99_ns"`
}

// p50 and p99 are medians of the rounds, in milliseconds.
func (m measured) p50() float64 {
	var all []time.Duration
	for _, r := range m.Rounds {
		all = append(all, r.P50)
	}
	return median(all)
}

func (m measured) p99() float64 {
	var all []time.Duration
	for _, r := range m.Rounds {
		all = append(all, r.P99)
	}
	return median(all)
}

func median(all []time.Duration) float64 {
	slices.Sort(all)
	return all[len(all)/2].Seconds() * 1e3
}

// accepted is the share of answers that were, from 0 to 1.
func (m measured) accepted() float64 {
	answers, accepted := 0, 0
	for _, r := range m.Rounds {
		answers, accepted = answers+r.Answers, accepted+r.Accepted
	}
	return float64(accepted) / float64(max(answers, 1))
}

// label says how the subscribers were.
func (m measured) label() string {
	state := "all well"
	switch {
	case m.Down:
		state = "feed down"
	case m.Slow == 1:
		state = "feed " + m.Delay.String()
	case m.Slow > 1:
		state = "each " + m.Delay.String()
	}
	return fmt.Sprintf("%d: %s", m.Subscribers, state)
}
