package main

import (
	"fmt"
	"slices"
	"strings"
	"time"
)

// result is everything that was measured: what -o json writes.
type result struct {
	Settings settings     `json:"settings"`
	Machine  surroundings `json:"machine"`
	Began    time.Time    `json:"began"`
	Ended    time.Time    `json:"ended"`
	Series   []*series    `json:"series"`
	Targets  []target     `json:"targets"`
	// Skipped says what could not be measured, and why.
	Skipped []string `json:"skipped,omitempty"`
}

// series is one figure of every round.
type series struct {
	Name   string    `json:"name"`
	What   string    `json:"what"`
	Unit   string    `json:"unit"`
	Rounds []float64 `json:"rounds"`
	Median float64   `json:"median"`
	Least  float64   `json:"least"`
	Most   float64   `json:"most"`
	// Pages are the reports that it stands in.
	Pages []string `json:"pages"`
}

// target is what the worker shall reach.
type target struct {
	What string `json:"what"`
	// Wanted is the bound: at least, or at most when AtMost.
	Wanted float64 `json:"wanted"`
	AtMost bool    `json:"at_most,omitempty"`
	Unit   string  `json:"unit"`
	// Got is the median of the rounds, each ratio taken within its round.
	Got   float64 `json:"got"`
	Least float64 `json:"least"`
	Most  float64 `json:"most"`
	Met   bool    `json:"met"`
	// Pages are the reports that it stands in.
	Pages []string `json:"pages"`
}

func (r *result) add(name string, value float64) {
	s := r.find(name)
	if s == nil {
		s = &series{Name: name}
		r.Series = append(r.Series, s)
	}
	s.Rounds = append(s.Rounds, value)
}

func (r *result) find(name string) *series {
	for _, s := range r.Series {
		if s.Name == name {
			return s
		}
	}
	return nil
}

// last tells the newest figures of a measurement.
func (r *result) last(name string) string {
	text := ""
	for _, m := range meanings() {
		if m.name != name && !strings.HasPrefix(m.name, name+"-") || slices.ContainsFunc(all(), func(other measurement) bool {
			return len(other.name) > len(name) && strings.HasPrefix(m.name, other.name)
		}) {
			continue
		}
		if s := r.find(m.name); s != nil {
			text += fmt.Sprintf("%10s %-10s", figure(s.Rounds[len(s.Rounds)-1]), m.unit)
		}
	}
	return text
}

// finish computes what follows from the rounds.
func (r *result) finish() {
	var ordered []*series
	for _, m := range meanings() {
		if s := r.find(m.name); s != nil {
			s.What, s.Unit, s.Pages = m.what, m.unit, m.pages
			s.Median, s.Least, s.Most = spread(s.Rounds)
			ordered = append(ordered, s)
		}
	}
	r.Series = ordered
	r.goals()
}

// ratio sets a target for one series over another, round by round.
func (r *result) ratio(pages []string, what string, wanted float64, over, under string) {
	a, b := r.find(over), r.find(under)
	if a == nil || b == nil {
		return
	}
	var ratios []float64
	for i := range min(len(a.Rounds), len(b.Rounds)) {
		ratios = append(ratios, a.Rounds[i]/b.Rounds[i])
	}
	t := target{Pages: pages, What: what, Wanted: wanted, Unit: "times"}
	t.Got, t.Least, t.Most = spread(ratios)
	t.Met = t.Got >= wanted
	r.Targets = append(r.Targets, t)
}

// bound sets a target that a series shall stay below.
func (r *result) bound(pages []string, what string, wanted float64, name string) {
	s := r.find(name)
	if s == nil {
		return
	}
	r.Targets = append(r.Targets, target{
		Pages: pages, What: what, Wanted: wanted, AtMost: true, Unit: s.Unit,
		Got: s.Median, Least: s.Least, Most: s.Most, Met: s.Median < wanted,
	})
}

// spread is the median, the least and the most.
func spread(values []float64) (median, least, most float64) {
	sorted := slices.Sorted(slices.Values(values))
	n := len(sorted)
	if n == 0 {
		return 0, 0, 0
	}
	return (sorted[(n-1)/2] + sorted[n/2]) / 2, sorted[0], sorted[n-1]
}
