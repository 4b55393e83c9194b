package main

import (
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/answerfeed/answerfeed/app/database"
)

// page is a report of a transport.
type page struct{ transport, file, title string }

func pages() []page {
	return []page{
		{onAMQP, "amqp.md", "The worker on RabbitMQ, and its peers"},
		{onSQL, "postgres.md", "The worker on PostgreSQL, and its peers"},
	}
}

const chartFile = "drain.png"

// write puts the reports, and the chart that they show, into a folder.
func (r *result) write(folder string, args []string) error {
	if err := r.chart(filepath.Join(folder, chartFile)); err != nil {
		return err
	}
	for _, p := range pages() {
		if !slices.Contains(r.Settings.Transports, p.transport) {
			continue
		}
		if err := os.WriteFile(filepath.Join(folder, p.file), []byte(r.markdown(p, args)), 0o644); err != nil {
			return err
		}
	}
	return nil
}

// markdown is a report to be kept.
func (r *result) markdown(p page, args []string) string {
	var text strings.Builder
	measured, targets := r.rows(p.transport)
	fmt.Fprintf(&text, `# %s

Written by `+"`bench/`"+` on %s: %s. %d rounds of every measurement, interleaved; servers and peers side by side on one machine.
Figures are medians over the rounds; ratios are taken within a round, and then their median.

`, p.title, r.Began.Format("2006-01-02"), "`"+strings.TrimSpace("cd bench && go run . "+strings.Join(args, " "))+"`", r.Settings.Rounds)
	if s := r.find(busy); s != nil && s.Median > quiet {
		fmt.Fprintf(&text, `**The machine was not quiet.** Before the rounds, others took %s %% of its processors (%s to %s). Rates are lower for that, latencies longer, and
ratios worse for the peer that needs more processor time a message.

`, figure(s.Median), figure(s.Least), figure(s.Most))
	}
	for _, skipped := range r.Skipped {
		text.WriteString("**" + skipped + "**\n\n")
	}
	fmt.Fprintf(&text, "![Messages drained a second, by peer](%s)\n\n", chartFile)
	markdownTable(&text, targetsHead(), targets)
	text.WriteString("\n")
	markdownTable(&text, measuredHead(), measured)
	text.WriteString("\n## What was compared\n\n")
	for _, line := range r.compared(p.transport) {
		text.WriteString("- " + line + "\n")
	}
	text.WriteString("\n## Settings\n\n")
	markdownTable(&text, []string{"", "messages", "acknowledgement", "in flight", "effect"}, practice(p.transport))
	text.WriteString("\n" + r.servers() + "\n\n## Machine and versions\n\n")
	m := r.Machine
	facts := [][]string{
		{"processor", fmt.Sprintf("%d × %s", m.Processors, m.Processor)}, {"memory", m.Memory}, {"kernel", m.Kernel}, {"Go", m.Go},
	}
	for _, server := range [][]string{{"RabbitMQ", m.RabbitMQ}, {"PostgreSQL", m.PostgreSQL}, {"Celery", m.Celery}} {
		if server[1] != "" {
			facts = append(facts, server)
		}
	}
	for _, module := range slices.Sorted(maps.Keys(m.Modules)) {
		facts = append(facts, []string{module, m.Modules[module]})
	}
	markdownTable(&text, []string{"", ""}, facts)
	return text.String()
}

// servers says how durable they are.
func (r *result) servers() string {
	var text []string
	if slices.Contains(r.Settings.Transports, onAMQP) {
		text = append(text, "RabbitMQ is one node with its defaults; a quorum queue of one member flushes before it confirms.")
	}
	if r.Settings.Database == database.Postgres {
		text = append(text, "PostgreSQL has fsync, full_page_writes and synchronous_commit on, as is its default; beside the defaults it has "+
			strings.Join(postgresSettings(), ", ")+".")
	} else {
		text = append(text, "SQLite has a write-ahead log and synchronous=FULL.")
	}
	return strings.Join(text, " ")
}

func markdownTable(text *strings.Builder, head []string, rows [][]string) {
	line := func(cells []string) { text.WriteString("| " + strings.Join(cells, " | ") + " |\n") }
	line(head)
	line(slices.Repeat([]string{"---"}, len(head)))
	for _, row := range rows {
		line(row)
	}
}
