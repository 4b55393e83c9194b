package main

import (
	"fmt"
	"slices"
	"time"
)

// result is everything that was measured: what -o json writes.
type result struct {
	Settings settings  `json:"settings"`
	Machine  machine   `json:"machine"`
	Began    time.Time `json:"began"`
	Ended    time.Time `json:"ended"`
	Series   []*series `json:"series"`
	Targets  []target  `json:"targets"`
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
}

const perSec = "messages/s"

// meaning says what a series is; the tables have this order.
type meaning struct{ name, what, unit string }

func meanings() []meaning {
	return []meaning{
		{peerWorker, "drain: the worker, all of it", perSec},
		{peerBare, "drain: bare amqp091 loop, batches of 256", perSec},
		{peerMany, "drain: 128 stock Watermill handlers, group commit", perSec},
		{peerStock, "drain: stock Watermill, one handler, a transaction a message", perSec},
		{publishBare, "publish: bare amqp091, 1,000 confirmations outstanding", perSec},
		{publishSlices, "publish: the worker, two callers, slices of 500", perSec},
		{publishConcurrent, "publish: the worker, 1,000 callers, a message each", perSec},
		{publishStock, "publish: stock watermill-amqp, confirming, 64 callers and channels", perSec},
		{latency + "-p50", "publish to visible at 500 messages/s, median", "ms"},
		{latency + "-p99", "publish to visible at 500 messages/s, 99th percentile", "ms"},
		{scale + "-1", "one worker, concurrency 20, a handler that waits 5 ms", perSec},
		{scale + "-2", "two such workers on one queue", perSec},
		{peerWorker + "-memory", "resident memory while draining, at its highest: the worker", "MB"},
		{peerBare + "-memory", "the same: bare loop", "MB"},
		{peerMany + "-memory", "the same: 128 stock handlers", "MB"},
		{peerStock + "-memory", "the same: stock, one handler", "MB"},
		{peerWorker + "-processor", "processor time a message, the broker's not counted: the worker", "µs"},
		{peerBare + "-processor", "the same: bare loop", "µs"},
		{peerMany + "-processor", "the same: 128 stock handlers", "µs"},
		{peerStock + "-processor", "the same: stock, one handler", "µs"},
		{"machine-busy", "processor time taken by others before the round", "%"},
	}
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
		s := r.find(m.name)
		if s != nil && (m.name == name || m.name == name+"-memory" || m.name == name+"-processor" || name == latency && m.unit == "ms" || name == scale && (m.name == scale+"-1" || m.name == scale+"-2")) {
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
			s.What, s.Unit = m.what, m.unit
			s.Median, s.Least, s.Most = spread(s.Rounds)
			ordered = append(ordered, s)
		}
	}
	r.Series = ordered
	r.ratio("drain: worker to bare loop", 0.6, peerWorker, peerBare)
	r.ratio("drain: worker to stock, one handler", 12, peerWorker, peerStock)
	r.ratio("drain: worker to 128 stock handlers", 1.2, peerWorker, peerMany)
	r.ratio("publish in slices: worker to bare", 0.7, publishSlices, publishBare)
	r.ratio("publish concurrently: worker to bare", 0.7, publishConcurrent, publishBare)
	r.ratio("two workers to one", 1.8, scale+"-2", scale+"-1")
	r.bound("99th percentile, publish to visible", 15, latency+"-p99")
	r.bound("resident memory of the worker", 150, peerWorker+"-memory")
}

// ratio sets a target for one series over another, round by round.
func (r *result) ratio(what string, wanted float64, over, under string) {
	a, b := r.find(over), r.find(under)
	if a == nil || b == nil {
		return
	}
	var ratios []float64
	for i := range min(len(a.Rounds), len(b.Rounds)) {
		ratios = append(ratios, a.Rounds[i]/b.Rounds[i])
	}
	t := target{What: what, Wanted: wanted, Unit: "times"}
	t.Got, t.Least, t.Most = spread(ratios)
	t.Met = t.Got >= wanted
	r.Targets = append(r.Targets, t)
}

// bound sets a target that a series shall stay below.
func (r *result) bound(what string, wanted float64, name string) {
	s := r.find(name)
	if s == nil {
		return
	}
	r.Targets = append(r.Targets, target{
		What: what, Wanted: wanted, AtMost: true, Unit: s.Unit,
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
