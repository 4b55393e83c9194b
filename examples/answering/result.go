package main

import (
	"fmt"
	"os"
	"slices"
	"strings"
	"time"
)

// figures are what one case came to, in one round.
type figures struct {
	Answers  int           `json:"answers"`
	Accepted int           `json:"accepted"`
	P50      time.Duration `json:"p50_ns"`
	P99      time.Duration `json:"p99_ns"`
	// CatchUp is how long after the trouble's end every service had all that was
	// accepted.
	CatchUp time.Duration `json:"catch_up_ns"`
	// Missing are accepted answers that a service never heard of; Ghosts are
	// those that one heard of and that were not accepted.
	Missing int `json:"missing"`
	Ghosts  int `json:"ghosts"`
}

// measured is a case in one mode.
type measured struct {
	Mode string `json:"mode"`
	scenario
	// P99Ratio is p99 by that of the healthy case with as many subscribers in the
	// same mode and round: the median of the rounds.
	P99Ratio float64   `json:"p99_ratio"`
	Rounds   []figures `json:"rounds"`
}

// result is all that was measured.
type result struct {
	Where    string      `json:"where"`
	Plan     plan        `json:"plan"`
	Measured []*measured `json:"measured"`
}

func (r *result) find(mode string, c scenario) *measured {
	for _, m := range r.Measured {
		if m.Mode == mode && m.scenario == c {
			return m
		}
	}
	return nil
}

// add takes in another round of a case. The healthy one comes first.
func (r *result) add(mode string, c scenario, f figures) {
	m := r.find(mode, c)
	if m == nil {
		m = &measured{Mode: mode, scenario: c}
		r.Measured = append(r.Measured, m)
	}
	m.Rounds = append(m.Rounds, f)
	if healthy := r.find(mode, scenario{Subscribers: c.Subscribers}); healthy != nil {
		var ratios []float64
		for i, round := range m.Rounds {
			ratios = append(ratios, float64(round.P99)/float64(healthy.Rounds[i].P99))
		}
		m.P99Ratio = median(ratios)
	}
}

// of is the median of the rounds.
func (m *measured) of(figure func(figures) float64) float64 {
	var all []float64
	for _, f := range m.Rounds {
		all = append(all, figure(f))
	}
	return median(all)
}

func median(all []float64) float64 {
	slices.Sort(all)
	return all[len(all)/2]
}

func (m *measured) p50() time.Duration {
	return time.Duration(m.of(func(f figures) float64 { return float64(f.P50) }))
}

func (m *measured) p99() time.Duration {
	return time.Duration(m.of(func(f figures) float64 { return float64(f.P99) }))
}

// success is the share of answers that were accepted, in all rounds.
func (m *measured) success() string {
	var answers, accepted int
	for _, f := range m.Rounds {
		answers, accepted = answers+f.Answers, accepted+f.Accepted
	}
	return fmt.Sprintf("%d %%", 100*accepted/answers) // cut: 100 is all of them
}

// String says the case in words.
func (c scenario) String() string {
	services := fmt.Sprintf("%d subscribers", c.Subscribers)
	if c.Subscribers == 1 {
		services = "1 subscriber"
	}
	return services + ", " + c.state()
}

func (c scenario) state() string {
	switch {
	case c.Down:
		return "feed down"
	case c.Slow == 0:
		return "all well"
	case c.Slow == 1:
		return "feed takes " + c.Delay.String()
	}
	return "each takes " + c.Delay.String()
}

// table is what was measured, in Markdown.
func (r *result) table() string {
	rows := [][]string{{
		"subscribers", "they are", "sync p50", "sync p99", "sync accepted", "async p50", "async p99", "async accepted", "async p99, by healthy", "caught up after",
	}}
	for _, c := range r.Plan.Cases {
		s, a := r.find(modeSync, c), r.find(modeAsync, c)
		rows = append(rows, []string{
			fmt.Sprint(c.Subscribers), c.state(), short(s.p50()), short(s.p99()), s.success(), short(a.p50()), short(a.p99()), a.success(),
			fmt.Sprintf("%.2f", a.P99Ratio), short(time.Duration(a.of(func(f figures) float64 { return float64(f.CatchUp) }))),
		})
	}
	widths := make([]int, len(rows[0]))
	for _, row := range rows {
		for i, cell := range row {
			widths[i] = max(widths[i], len([]rune(cell)))
		}
	}
	var text strings.Builder
	for n, row := range rows {
		for i, cell := range row {
			fmt.Fprintf(&text, "| %-*s ", widths[i], cell)
		}
		text.WriteString("|\n")
		if n == 0 {
			for _, w := range widths {
				text.WriteString("|" + strings.Repeat("-", w+2))
			}
			text.WriteString("|\n")
		}
	}
	return text.String()
}

// short writes a time with two or three figures.
func short(d time.Duration) string {
	switch {
	case d >= 10*time.Second:
		return fmt.Sprintf("%.1f s", d.Seconds())
	case d >= time.Second:
		return fmt.Sprintf("%.2f s", d.Seconds())
	case d >= 10*time.Millisecond:
		return fmt.Sprintf("%.0f ms", d.Seconds()*1e3)
	}
	return fmt.Sprintf("%.1f ms", d.Seconds()*1e3)
}

// into puts the table into a document, between the marks of where it was
// measured.
func (r *result) into(file string) error {
	document, err := os.ReadFile(file)
	if err != nil {
		return err
	}
	before, rest, begins := strings.Cut(string(document), "<!-- measured: "+r.Where+" -->\n")
	_, after, ends := strings.Cut(rest, "<!-- end -->\n")
	if !begins || !ends {
		return fmt.Errorf("%s has no lines <!-- measured: %s --> and <!-- end -->", file, r.Where)
	}
	text := before + "<!-- measured: " + r.Where + " -->\n" + r.words() + "\n" + r.table() + "<!-- end -->\n" + after
	return os.WriteFile(file, []byte(text), 0o644)
}

// words say how the table was made.
func (r *result) words() string {
	return fmt.Sprintf("Measured on %s: %s. In each case %d at a time answer %d times, or for %v, with pauses of %v; medians of %d rounds.\n",
		time.Now().Format(time.DateOnly), r.Where, r.Plan.Authors, r.Plan.Answers, r.Plan.Within, r.Plan.Pause, r.Plan.Rounds)
}
