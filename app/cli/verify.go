package cli

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"

	"github.com/spf13/cobra"

	"github.com/answerfeed/answerfeed/internal/testserver"
	"github.com/answerfeed/answerfeed/internal/verify"
)

// verifyFlags are what a run is told on the command line.
type verifyFlags struct {
	verify.Options
	times      map[verify.Fault]*int
	ownServers bool
	suite      testserver.Suite
	on, only   []string
	format     string
}

func (c *cli) verify() *cobra.Command {
	var f verifyFlags
	cmd := &cobra.Command{
		Use:   "verify",
		Short: "Break workers, network and servers, and show that nothing is lost",
		Long: `Verify publishes events to the configured transport and runs three processes of this worker on them, in queues and tables
of their own: a prefix on RabbitMQ, a schema in PostgreSQL, a file beside the one of SQLite. Meanwhile it kills the processes
with SIGKILL, holds them up with SIGSTOP until others have their messages, cuts connections, renames tables of the worker, and
publishes events twice and out of order. In the end each confirmed event must have had exactly one effect, or be a dead letter
that was meant to be one, and must have reached a second handler, whose effects may be repeated. What the run made is removed,
also when it is interrupted.

With --own-servers it starts throwaway servers of RabbitMQ and PostgreSQL in place of the configured ones, kills these, too, fills
their disk, and lets RabbitMQ refuse, limit and close what it can. Messages and faults are then shared out among the transports
that --on names.

Exit status: 0 nothing was lost, doubled or unexpected; 1 something was, or the run could not be finished; 2 wrong usage or
configuration.`,
		Example: `  worker verify --messages 100000 --kills 50
  worker verify --own-servers --seed 42 -o json`,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := f.complete(cmd); err != nil {
				return usageError{err}
			}
			if f.ownServers {
				return c.verifyOwnServers(cmd.Context(), f)
			}
			return c.verifyConfigured(cmd.Context(), f)
		},
	}
	flags := cmd.Flags()
	flags.IntVar(&f.Messages, "messages", 20000, "`N` events to publish, at least")
	f.times = map[verify.Fault]*int{}
	for _, fault := range faultFlags() {
		f.times[fault.Fault] = flags.Int(fault.flag, fault.times, fault.usage())
	}
	flags.StringSliceVar(&f.only, "only", nil, "`FAULTS` that come, by their flags, such as kills,cuts; by default all")
	flags.DurationVar(&f.Duration, "duration", 0, "how long the faults are spread over at least; 0 = one after the other")
	flags.Uint64Var(&f.Seed, "seed", 0, "`NUMBER` that chooses events and faults; by default a new one")
	flags.BoolVar(&f.ownServers, "own-servers", false, "start servers in place of the configured ones, and kill them as well")
	flags.StringVar((*string)(&f.suite), "suite", "", "Debian `SUITE` whose servers are started, such as trixie or sid, installed in a tree of their own; by default those of this machine")
	flags.StringSliceVar(&f.on, "on", ownTransports(), "`TRANSPORTS` to run with --own-servers")
	outputFlag(cmd, &f.format)
	cmd.AddCommand(c.verifyProcess())
	return cmd
}

// complete checks the flags, and chooses a seed when none is given.
func (f *verifyFlags) complete(cmd *cobra.Command) error {
	changed := cmd.Flags().Changed
	if !changed("seed") {
		f.Seed = rand.Uint64N(1 << 32) // short enough to be typed
	}
	if f.Messages < 1 {
		return fmt.Errorf("--messages %d: it takes at least 1", f.Messages)
	}
	f.Times = map[verify.Fault]int{}
	for _, fault := range faultFlags() {
		n := *f.times[fault.Fault]
		if len(f.only) > 0 && !slices.Contains(f.only, fault.flag) {
			n = 0
		}
		if n < 0 || n > 100000 {
			return fmt.Errorf("--%s %d: it must be 0 to 100000", fault.flag, n)
		}
		f.Times[fault.Fault] = n
	}
	for _, only := range f.only {
		if !slices.ContainsFunc(faultFlags(), func(fault faultFlag) bool { return fault.flag == only }) {
			return fmt.Errorf("--only %s: no fault has that flag", only)
		}
	}
	if f.Duration < 0 {
		return fmt.Errorf("--duration %s: it must not be below 0", f.Duration)
	}
	if f.ownServers {
		if !slices.Contains(testserver.Suites(), f.suite) {
			return fmt.Errorf("--suite %s: it takes %s or %s", f.suite, testserver.Trixie, testserver.Sid)
		}
		return checkTransports(f.on)
	}
	for _, flag := range []string{"on", "suite"} {
		if changed(flag) {
			return errors.New("--" + flag + " goes with --own-servers: the configured servers are used")
		}
	}
	for _, fault := range faultFlags() {
		if fault.Needs() == "" {
			continue
		}
		if changed(fault.flag) {
			return fmt.Errorf("--%s goes with --own-servers: nothing is done to the configured servers", fault.flag)
		}
		f.Times[fault.Fault] = 0
	}
	return nil
}

// verifyConfigured is a run on the configured transport and database.
func (c *cli) verifyConfigured(ctx context.Context, f verifyFlags) error {
	target, err := c.target("", nil)
	if err != nil {
		return err
	}
	return c.verifyAll(ctx, f, []verifyRun{{Options: f.Options, target: target}})
}

// verifyRun is one run of several.
type verifyRun struct {
	verify.Options
	target verify.Target
}

// verifyAll does the runs one after the other, and prints what they found.
func (c *cli) verifyAll(ctx context.Context, f verifyFlags, runs []verifyRun) error {
	reports := []*verify.Report{}
	var failed error
	for _, run := range runs {
		o := run.Options
		o.Target, o.Seed = run.target, f.Seed
		o.Open, o.Remove, o.Command = c.verifyOpen, c.verifyRemove, c.verifyCommand
		bar := c.counter("verifying " + run.target.Name)
		o.Progress = func(doing string, done, of int) {
			bar.Describe("verifying " + run.target.Name + ": " + doing)
			bar.ChangeMax(max(of, 1))
			_ = bar.Set(min(done, of-1)) // at its maximum it would be gone
		}
		report, err := verify.Run(ctx, o)
		_ = bar.Finish()
		if err != nil { // what the report says is not the end of it
			failed = fmt.Errorf("verifying %s, seed %d: %w", run.target.Name, f.Seed, err)
			break
		}
		reports = append(reports, report)
	}
	if f.format == "json" {
		failed = errors.Join(failed, c.json(struct {
			Passed bool             `json:"passed"`
			Runs   []*verify.Report `json:"runs"`
		}{failed == nil && allPassed(reports), reports}))
	} else {
		c.printReports(reports, failed == nil && allPassed(reports))
	}
	if failed == nil && !allPassed(reports) {
		return errReported
	}
	return failed
}

func allPassed(reports []*verify.Report) bool {
	for _, r := range reports {
		if !r.Passed() {
			return false
		}
	}
	return len(reports) > 0
}
