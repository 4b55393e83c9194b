package cli

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"time"

	"github.com/schollz/progressbar/v3"
	"github.com/spf13/cobra"

	"github.com/answerfeed/answerfeed/app"
	"github.com/answerfeed/answerfeed/internal/bench"
)

func (c *cli) bench() *cobra.Command {
	var format, clean string
	var s bench.Settings
	cmd := &cobra.Command{
		Use:   "bench",
		Short: "Measure the worker on the configured broker and database",
		Long: `Bench publishes invented answers to temporary queues of the configured transport and drains them through the whole
worker into temporary tables of the configured database: how fast that goes, how long an event takes until its effect is
committed, and what a message costs. Queues and tables have names of their own, so that nothing of yours is touched, and are
removed in the end, also after SIGTERM or SIGINT. Beside each figure stand the settings that matter to it.

Scenarios:
  overview  a drain, and latency at a rate; about half a minute
  drain     a longer drain
  steady    events at --rate for 20 s, or --messages of them
  backlog   the same drain with 10,000 to --backlog (1,000,000) events waiting
  poison    none, and a share of events that no handler can take
  slow      a handler that waits --handler-delay (100ms)
  fan-out   1, 2 and 5 handlers on one topic: what the producer pays for each

The handlers have the settings of handlers.feed: its concurrency is the window.`,
		Example: `  worker bench
  worker bench --scenario steady --rate 2000 -o json
  worker bench --scenario backlog --backlog 100000`,
		RunE: func(cmd *cobra.Command, _ []string) error {
			set := cmd.Flags().Changed
			if err := zeros(set, s); err != nil {
				return usageError{err}
			}
			if err := s.Validate(); err != nil {
				return usageError{err}
			}
			if set("clean") {
				return c.benchClean(cmd.Context(), clean)
			}
			loaded, err := c.load(nil)
			if err != nil {
				return err
			}
			app.TuneGC(loaded.Config.Memory)
			bars := &bars{cli: c}
			defer bars.close()
			report, err := bench.Run(cmd.Context(), bench.Options{
				Config: loaded.Config, Settings: s, Logger: c.errorsOnly(), Progress: bars.show,
				Begun: func(id string) {
					fmt.Fprintf(c.Err, "run %s begins; should it be killed: %s bench --clean %s\n", id, c.Name, id)
				},
			})
			if err != nil {
				return err
			}
			bars.close()
			if format == "json" {
				return c.json(report)
			}
			return c.benchTable(report)
		},
	}
	f := cmd.Flags()
	f.StringVar(&s.Scenario, "scenario", bench.Overview, "`NAME` of what to measure: "+strings.Join(bench.Scenarios(), ", "))
	f.IntVar(&s.Messages, "messages", 0, "`NUMBER` of events to drain, or to publish in steady (default by scenario)")
	f.Float64Var(&s.Rate, "rate", 500, "`EVENTS` a second where latency is measured")
	f.IntVar(&s.Payload, "payload", 400, "`BYTES` of an event")
	f.DurationVar(&s.HandlerDelay, "handler-delay", 0, "`TIME` that the handler waits before each effect")
	f.IntVar(&s.Backlog, "backlog", 0, "`NUMBER` of events that wait beyond those; in backlog, the most that wait")
	f.IntVar(&s.PoisonPercent, "poison", 5, "`PERCENT` of poison, in poison")
	f.StringVar(&clean, "clean", "", "remove what the killed run `ID` left behind, and measure nothing")
	outputFlag(cmd, &format)
	// Zero is the default of each scenario; the number is for the help.
	s.PoisonPercent = 0
	return cmd
}

// zeros refuses a zero that was asked for, since it means the default.
func zeros(set func(string) bool, s bench.Settings) error {
	for flag, zero := range map[string]bool{"messages": s.Messages == 0, "rate": s.Rate == 0, "payload": s.Payload == 0, "poison": s.PoisonPercent == 0} {
		if zero && set(flag) {
			return fmt.Errorf("--%s 0: it must be more than 0", flag)
		}
	}
	if s.Scenario == "" {
		return errors.New("--scenario: it must name one of " + strings.Join(bench.Scenarios(), ", "))
	}
	return nil
}

func (c *cli) benchClean(ctx context.Context, id string) error {
	if err := bench.ValidateID(id); err != nil {
		return usageError{err}
	}
	loaded, err := c.load(nil)
	if err != nil {
		return err
	}
	if err := bench.Clean(ctx, loaded.Config, id, c.errorsOnly()); err != nil {
		return err
	}
	fmt.Fprintf(c.Err, "nothing of run %s is left\n", id)
	return nil
}

// errorsOnly is for a run of invented events: that some of them become dead
// letters is its business.
func (c *cli) errorsOnly() *slog.Logger {
	return slog.New(slog.NewTextHandler(c.Err, &slog.HandlerOptions{Level: slog.LevelError}))
}

// bars show one thing after the other, on a terminal.
type bars struct {
	cli  *cli
	what string
	bar  *progressbar.ProgressBar
}

func (b *bars) show(what string, done, total int) {
	if b.bar == nil || what != b.what {
		b.close()
		b.what = what
		b.bar = progressbar.NewOptions64(int64(total),
			progressbar.OptionSetWriter(b.cli.Err),
			progressbar.OptionSetDescription(what),
			progressbar.OptionShowCount(),
			progressbar.OptionThrottle(100*time.Millisecond),
			progressbar.OptionClearOnFinish(),
			progressbar.OptionSetVisibility(isTerminal(b.cli.Err)),
		)
	}
	_ = b.bar.Set(min(done, total))
}

func (b *bars) close() {
	if b.bar != nil {
		_ = b.bar.Finish()
		b.bar = nil
	}
}

// benchTable is a block of figures for each step.
func (c *cli) benchTable(r *bench.Report) error {
	w := r.Settings
	fmt.Fprintf(c.Out, "transport   %s\ndurability  %s\nmachine     %d processors, %s\n\n", w.Transport, w.Durability, w.Processors, w.Go)
	header := []string{"STEP", "FIGURE", "VALUE", "SETTINGS"}
	var rows [][]string
	for _, f := range r.Steps {
		rows = append(rows, benchRows(r, f)...)
	}
	if err := c.table(header, rows); err != nil {
		return err
	}
	return c.benchCompared(r)
}

func benchRows(r *bench.Report, f bench.Figures) [][]string {
	w := r.Settings
	handlers := ""
	if f.Handlers > 1 {
		handlers = fmt.Sprintf(", %d handlers", f.Handlers)
	}
	published := fmt.Sprintf("%s; %d callers of %d; %d bytes%s", w.Confirms, w.Callers, w.EachCall, w.PayloadBytes, handlers)
	drained := fmt.Sprintf("window %d; acknowledged %s; commits of up to %d; %s waited%s", w.Window, w.Acknowledgement, w.GroupCommit, number(f.Waiting), handlers)
	process := "this process while it drains, without broker and database"
	if r.Scenario == bench.Steady {
		published = fmt.Sprintf("at the rate; %s; a message a call; %d bytes", w.Confirms, w.PayloadBytes)
		process = "this process, publishing included, without broker and database"
	}
	rate := fmt.Sprintf("due to committed, at %g of %g a second; window %d", f.SteadyPerSecond, w.Rate, w.Window)
	return [][]string{
		{f.Step, "publish", number(int(f.PublishPerSecond)) + "/s", published},
		{"", "a message", fmt.Sprintf("%g µs", f.PublishMicros), "of the producer's time, confirmed"},
		{"", "drain", number(int(f.DrainPerSecond)) + "/s", drained},
		{"", "latency p50", ms(f.Latency.P50), rate},
		{"", "latency p95", ms(f.Latency.P95), ""},
		{"", "latency p99", ms(f.Latency.P99), ""},
		{"", "latency max", ms(f.Latency.Max), ""},
		{"", "processor", fmt.Sprintf("%g µs/message", f.CPUMicros), process},
		{"", "memory", fmt.Sprintf("%g MB", f.RSSMB), "the most that was resident; publisher and worker are one process"},
		{"", "redeliveries", number(int(f.Redeliveries)), fmt.Sprintf("%s effects, %s doubled; %s dead letters; %s left in the queue",
			number(int(f.Effects)), number(int(f.Doubled)), number(int(f.DeadLetters)), number(int(f.Left)))},
	}
}

// benchCompared holds the steps of a scenario against its first.
func (c *cli) benchCompared(r *bench.Report) error {
	if len(r.Steps) < 2 {
		return nil
	}
	fmt.Fprintln(c.Out)
	first := r.Steps[0]
	var rows [][]string
	for _, f := range r.Steps[1:] {
		rows = append(rows, []string{f.Step + " to " + first.Step, ratio(f.PublishPerSecond, first.PublishPerSecond),
			fmt.Sprintf("%+.1f µs", f.PublishMicros-first.PublishMicros), ratio(f.DrainPerSecond, first.DrainPerSecond), ratio(f.CPUMicros, first.CPUMicros)})
	}
	return c.table([]string{"COMPARED", "PUBLISH", "A MESSAGE", "DRAIN", "PROCESSOR"}, rows)
}

func ratio(v, to float64) string {
	if to == 0 {
		return "-"
	}
	return fmt.Sprintf("%.2f times", v/to)
}

func ms(v float64) string { return fmt.Sprintf("%.1f ms", v) }

// number is 1,000,000.
func number(n int) string {
	if n < 1000 {
		return fmt.Sprint(n)
	}
	return fmt.Sprintf("%s,%03d", number(n/1000), n%1000)
}
