package main

import (
	"fmt"
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
		for i := len(n) - 3; i > 0; i -= 3 {
			n = n[:i] + "," + n[i:]
		}
		return n
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

// rows are the two tables of some pages, without their heads.
func (r *result) rows(pages ...string) (measured, targets [][]string) {
	elsewhere := func(of []string) bool {
		return !slices.ContainsFunc(of, func(p string) bool { return slices.Contains(pages, p) })
	}
	for _, s := range r.Series {
		if elsewhere(s.Pages) {
			continue
		}
		measured = append(measured, []string{s.What, figure(s.Median), figure(s.Least) + " – " + figure(s.Most), s.Unit})
	}
	for _, t := range r.Targets {
		if elsewhere(t.Pages) {
			continue
		}
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
	measured, targets := r.rows(onAMQP, onSQL)
	for i, rows := range [][][]string{append([][]string{measuredHead()}, measured...), append([][]string{targetsHead()}, targets...)} {
		if i > 0 {
			fmt.Fprintln(w)
		}
		for _, row := range rows {
			fmt.Fprintln(w, strings.Join(row, "\t"))
		}
		_ = w.Flush() // a strings.Builder takes everything
	}
	for _, skipped := range r.Skipped {
		fmt.Fprintln(&text, skipped)
	}
	return text.String()
}
