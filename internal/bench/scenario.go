package bench

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/answerfeed/answerfeed/app/event"
)

// The scenarios.
const (
	Overview = "overview" // drain, and latency at a rate
	Drain    = "drain"    // a longer drain
	Steady   = "steady"   // events at a rate, for a while
	Backlog  = "backlog"  // the same drain with more and more behind it
	Poison   = "poison"   // a share of events that no handler can take
	Slow     = "slow"     // a handler that takes its time
	FanOut   = "fan-out"  // 1, 2 and 5 handlers on one topic
)

// Scenarios are their names.
func Scenarios() []string {
	return []string{Overview, Drain, Steady, Backlog, Poison, Slow, FanOut}
}

// Bounds of Settings.
const (
	maxMessages = 5_000_000
	maxRate     = 100_000
	minPayload  = 256
	maxDelay    = 10 * time.Second // half of the grace that work has when a worker stops
)

// Settings are what is measured. The zero of each means its default.
type Settings struct {
	// Scenario is one of Scenarios. Defaults to Overview.
	Scenario string
	// Messages is how many events are drained, or in Steady published.
	// Defaults to what takes the scenario some seconds a step.
	Messages int
	// Rate is how many events a second are published where latency is
	// measured, at least 1. Defaults to 500.
	Rate float64
	// Payload is the size of an event in bytes, at least 256. Defaults to 400.
	Payload int
	// HandlerDelay is how long the handler waits before each effect, up to
	// 10 s. Defaults to nothing; in Slow to 100 ms.
	HandlerDelay time.Duration
	// Backlog is how many events wait beyond those that are measured; in
	// Backlog the largest number that wait. Defaults to none; in Backlog to
	// 1,000,000.
	Backlog int
	// PoisonPercent is the share of poison in Poison. Defaults to 5.
	PoisonPercent int
	// SteadyFor is how long latency is measured. Defaults to 20 s in Steady,
	// 5 s in Overview, 3 s a step elsewhere.
	SteadyFor time.Duration
}

// Validate reports the first setting that is out of bounds.
func (s Settings) Validate() error {
	switch {
	case s.Scenario != "" && !slices.Contains(Scenarios(), s.Scenario):
		return fmt.Errorf("--scenario %s: there is %s", s.Scenario, strings.Join(Scenarios(), ", "))
	case s.Messages < 0 || s.Messages > maxMessages:
		return fmt.Errorf("--messages %d: it must be 1 to %d", s.Messages, maxMessages)
	case s.Rate != 0 && !(s.Rate >= 1 && s.Rate <= maxRate): // NaN is neither
		return fmt.Errorf("--rate %g: it must be 1 to %d events a second", s.Rate, maxRate)
	case s.Payload != 0 && (s.Payload < minPayload || s.Payload > event.MaxPayload):
		return fmt.Errorf("--payload %d: it must be %d to %d bytes", s.Payload, minPayload, event.MaxPayload)
	case s.HandlerDelay < 0 || s.HandlerDelay > maxDelay:
		return fmt.Errorf("--handler-delay %s: it must be 0s to %s", s.HandlerDelay, maxDelay)
	case s.Backlog < 0 || s.Backlog > maxMessages:
		return fmt.Errorf("--backlog %d: it must be 0 to %d", s.Backlog, maxMessages)
	case s.PoisonPercent < 0 || s.PoisonPercent > 100:
		return fmt.Errorf("--poison %d: it must be 1 to 100 percent", s.PoisonPercent)
	case s.PoisonPercent > 0 && s.Scenario != Poison:
		return errors.New("--poison goes with --scenario poison")
	case s.SteadyFor < 0:
		return errors.New("the time at a rate must not be below 0")
	}
	return nil
}

func (s *Settings) complete() error {
	if err := s.Validate(); err != nil {
		return err
	}
	or := func(value *int, fallback int) {
		if *value == 0 {
			*value = fallback
		}
	}
	if s.Scenario == "" {
		s.Scenario = Overview
	}
	if s.Rate == 0 {
		s.Rate = 500
	}
	or(&s.Payload, 400)
	messages, seconds := 20_000, 3
	switch s.Scenario {
	case Overview:
		messages, seconds = 50_000, 5
	case Drain:
		messages = 100_000
	case Steady:
		messages, seconds = 0, 20
	case Backlog:
		messages = 10_000
		or(&s.Backlog, 1_000_000)
	case Poison:
		or(&s.PoisonPercent, 5)
	case Slow:
		if s.HandlerDelay == 0 {
			s.HandlerDelay = 100 * time.Millisecond
		}
	}
	or(&s.Messages, messages)
	if s.SteadyFor == 0 {
		s.SteadyFor = time.Duration(seconds) * time.Second
	}
	return nil
}

// step is one measurement of a scenario.
type step struct {
	name     string
	handlers int
	steady   int           // events published at the rate, first
	messages int           // events drained, then; 0 = none
	behind   int           // events that wait beyond those
	poison   int           // percent
	delay    time.Duration // of the handler
}

// bulk is how many events are published as fast as possible.
func (s step) bulk() int { return s.messages + s.behind }

// total is how many events are published altogether.
func (s step) total() int { return s.steady + s.bulk() }

// steps are what the scenario measures, one after the other, in the order in
// which it gets harder.
func (s Settings) steps() []step {
	one := step{
		name: s.Scenario, handlers: 1, messages: s.Messages, behind: s.Backlog, delay: s.HandlerDelay,
		steady: max(1, int(s.Rate*s.SteadyFor.Seconds())),
	}
	with := func(name string, change func(*step)) step {
		changed := one
		changed.name = name
		change(&changed)
		return changed
	}
	switch s.Scenario {
	case Steady:
		return []step{with(Steady, func(t *step) {
			if s.Messages > 0 {
				t.steady = s.Messages
			}
			t.messages = 0
		})}
	case Backlog:
		var steps []step
		for _, waiting := range s.backlogs() {
			steps = append(steps, with(number(waiting)+" waiting", func(t *step) {
				t.messages = min(s.Messages, waiting)
				t.behind = waiting - t.messages
			}))
		}
		return steps
	case Poison:
		return []step{
			with("no poison", func(*step) {}),
			with(fmt.Sprintf("%d %% poison", s.PoisonPercent), func(t *step) { t.poison = s.PoisonPercent }),
		}
	case Slow:
		return []step{
			with("no delay", func(t *step) { t.delay = 0 }),
			with(s.HandlerDelay.String()+" delay", func(*step) {}),
		}
	case FanOut:
		var steps []step
		for _, handlers := range []int{1, 2, maxHandlers} {
			name := fmt.Sprintf("%d handlers", handlers)
			if handlers == 1 {
				name = "1 handler"
			}
			steps = append(steps, with(name, func(t *step) { t.handlers = handlers }))
		}
		return steps
	}
	return []step{one}
}

// backlogs grow from 10,000, tenfold, to the largest.
func (s Settings) backlogs() []int {
	var sizes []int
	for size := 10_000; size < s.Backlog; size *= 10 {
		sizes = append(sizes, size)
	}
	return append(sizes, s.Backlog)
}

// number is 1,000,000.
func number(n int) string {
	if n < 1000 {
		return fmt.Sprint(n)
	}
	return fmt.Sprintf("%s,%03d", number(n/1000), n%1000)
}
