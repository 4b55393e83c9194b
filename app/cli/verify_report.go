package cli

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/answerfeed/answerfeed/internal/verify"
)

// printReports prints each run, and in the end whether all is well.
func (c *cli) printReports(reports []*verify.Report, passed bool) {
	for _, r := range reports {
		c.printReport(r)
	}
	var all verify.Report
	for _, r := range reports {
		all.Confirmed += r.Confirmed
		all.Lost += r.Lost
		all.Doubled += r.Doubled
		all.Unexpected += r.Unexpected
		all.Redelivered += r.Redelivered
	}
	verdict := "PASSED"
	if !passed {
		verdict = "FAILED"
	}
	fmt.Fprintf(c.Out, "%s: %d events confirmed, %d lost, %d doubled, %d unexpected, %d deliveries repeated\n",
		verdict, all.Confirmed, all.Lost, all.Doubled, all.Unexpected, all.Redelivered)
}

func (c *cli) printReport(r *verify.Report) {
	line := func(name, format string, args ...any) {
		fmt.Fprintf(c.Out, "  %-14s %s\n", name, fmt.Sprintf(format, args...))
	}
	fmt.Fprintf(c.Out, "%s, seed %d, %.0f s\n", r.Target, r.Seed, r.Seconds)
	line("confirmed", "%d = %d took effect + %d dead letters + %d queued + %d lost", r.Confirmed, r.Effects, r.DeadLetters, r.Queued, r.Lost)
	line("lost", "%s", strings.TrimSpace(fmt.Sprintf("%d %s", r.Lost, strings.Join(r.LostIDs, " "))))
	if r.Stuck > 0 {
		line("stuck", "%d in the broker, which kept what a queue had refused until it was restarted in the end", r.Stuck)
	}
	line("doubled", "%d", r.Doubled)
	line("unexpected", "%d", r.Unexpected)
	line("redelivered", "%d of %d messages; %d calls of the publisher failed and were made again", r.Redelivered, r.Messages, r.PublishFailures)
	line("converged", "%d at the handler without an inbox, %d effects repeated, of which the faults explain up to %d", r.Converged, r.Repeated, r.RepeatedBound)
	var faults []string
	for _, name := range slices.Sorted(maps.Keys(r.Faults)) {
		faults = append(faults, fmt.Sprintf("%d × %s", r.Faults[name], name))
	}
	line("faults", "%s; %d connections cut, %d workers gave up and were started again", cmp.Or(strings.Join(faults, ", "), "none"), r.Cut, r.EndedAlone)
	if len(r.Points) > 0 {
		var points []string
		for _, name := range slices.Sorted(maps.Keys(r.Points)) {
			points = append(points, fmt.Sprintf("%s %d", name, r.Points[name]))
		}
		line("crash points", "%s", strings.Join(points, ", "))
	}
	for _, name := range slices.Sorted(maps.Keys(r.Recovery)) {
		again := r.Recovery[name]
		line("recovered", "from %d × %s within %d ms at the median, %d ms at most", again.Times, name, again.Median, again.Max)
	}
	for _, p := range r.Problems {
		line("problem", "%s", p)
	}
	if r.Logs != "" {
		line("logs", "%s", r.Logs)
	}
}
