package main

import (
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"text/tabwriter"
)

// quiet is how busy, in percent, others may keep a machine before a report
// says so.
const quiet = 5

// figure writes a number with as many digits as mean something.
func figure(v float64) string {
	switch {
	case v >= 1000:
		n := strconv.FormatFloat(v, 'f', 0, 64)
		return n[:len(n)-3] + "," + n[len(n)-3:]
	case v >= 100:
		return strconv.FormatFloat(v, 'f', 0, 64)
	case v >= 10:
		return strconv.FormatFloat(v, 'f', 1, 64)
	}
	return strconv.FormatFloat(v, 'f', 2, 64)
}

func (t target) wanted() string {
	sign := "≥ "
	if t.AtMost {
		sign = "< "
	}
	return sign + strconv.FormatFloat(t.Wanted, 'f', -1, 64) + " " + t.Unit
}

func (t target) verdict() string {
	if t.Met {
		return "yes"
	}
	return "NO"
}

// rows are the two tables, without their heads.
func (r *result) rows() (measured, targets [][]string) {
	for _, s := range r.Series {
		measured = append(measured, []string{s.What, figure(s.Median), figure(s.Least) + " – " + figure(s.Most), s.Unit})
	}
	for _, t := range r.Targets {
		targets = append(targets, []string{t.What, t.wanted(), figure(t.Got), figure(t.Least) + " – " + figure(t.Most), t.verdict()})
	}
	return measured, targets
}

func measuredHead() []string { return []string{"measured", "median", "least – most", "unit"} }

func targetsHead() []string { return []string{"target", "wanted", "median", "least – most", "met"} }

// table is for a terminal.
func (r *result) table() string {
	var text strings.Builder
	w := tabwriter.NewWriter(&text, 0, 0, 2, ' ', 0)
	measured, targets := r.rows()
	for i, rows := range [][][]string{append([][]string{measuredHead()}, measured...), append([][]string{targetsHead()}, targets...)} {
		if i > 0 {
			fmt.Fprintln(w)
		}
		for _, row := range rows {
			fmt.Fprintln(w, strings.Join(row, "\t"))
		}
		_ = w.Flush() // a strings.Builder takes everything
	}
	return text.String()
}

// markdown is a report to be kept.
func (r *result) markdown(args []string) string {
	var text strings.Builder
	measured, targets := r.rows()
	fmt.Fprintf(&text, `# The worker on RabbitMQ, and its peers

Written by `+"`bench/`"+` on %s: %s. %d rounds of every measurement, interleaved; broker, SQLite file and peers side by side on one
machine. Figures are medians over the rounds; ratios are taken within a round, and then their median.

`, r.Began.Format("2006-01-02"), "`"+strings.TrimSpace("cd bench && go run . "+strings.Join(args, " "))+"`", r.Settings.Rounds)
	if s := r.find("machine-busy"); s != nil && s.Median > quiet {
		fmt.Fprintf(&text, `**The machine was not quiet.** Before the rounds, others took %s %% of its processors (%s to %s). Rates are lower for that, latencies longer, and
ratios worse for the peer that needs more processor time a message.

`, figure(s.Median), figure(s.Least), figure(s.Most))
	}
	markdownTable(&text, targetsHead(), targets)
	text.WriteString("\n")
	markdownTable(&text, measuredHead(), measured)
	fmt.Fprintf(&text, `
## What was compared

- **Drain.** %s answer-added events of about 250 bytes wait in one quorum queue, published and confirmed; a tenth of that for the stock handler, whose rate is what is asked.
  Each peer is a process of its own, measured from the order to start to its last commit. The effect is the same code for all (`+"`bench/effect`"+`): the event decoded and
  validated, its row upserted, the counter of its question raised, in SQLite with `+"`synchronous=FULL`"+`. After each drain every event has its row, the counters say that
  none took effect twice, and the queue is empty; else the run fails.
- **The worker** is the whole App with its defaults: router, middleware (correlation, metrics, dead letter, redelivery, retry, time limit, recover, limits), transport, web server,
  desk, probes. Its window is %d; commits are shared by up to %d events, for the 128 stock handlers too.
- **The bare loop** has none of that: batches of %d (prefetch %d), a transaction and an acknowledgement a batch; the first bad message ends it.
- **Stock** is Watermill's router on watermill-amqp's durable-queue preset, prefetch 1, once with one handler and a transaction a message, once with %d handlers on the queue.
- **Publishing** is to a fanout exchange with one quorum queue behind it, half as many messages, from a process that does nothing else; 1,000 at most are unconfirmed. The worker
  also asks for unroutable messages to come back, and fails on them; the bare client does not.
- **Publish to visible** is from the moment a message was due to be published, by another process, to the moment a reader of the database sees its row, looking every %s.

## Machine and versions

`, figure(float64(r.Settings.Messages)), window, groupCommit, bareBatch, barePrefetch, manyWays, look)
	m := r.Machine
	facts := [][]string{
		{"processor", fmt.Sprintf("%d × %s", m.Processors, m.Processor)}, {"memory", m.Memory}, {"kernel", m.Kernel},
		{"Go", m.Go}, {"RabbitMQ", m.RabbitMQ},
	}
	for _, module := range slices.Sorted(maps.Keys(m.Modules)) {
		facts = append(facts, []string{module, m.Modules[module]})
	}
	markdownTable(&text, []string{"", ""}, facts)
	return text.String()
}

func markdownTable(text *strings.Builder, head []string, rows [][]string) {
	line := func(cells []string) { text.WriteString("| " + strings.Join(cells, " | ") + " |\n") }
	line(head)
	line(slices.Repeat([]string{"---"}, len(head)))
	for _, row := range rows {
		line(row)
	}
}
