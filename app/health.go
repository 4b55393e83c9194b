package app

import (
	"context"
	"fmt"
	"os"
	"sync/atomic"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/answerfeed/answerfeed/internal/dependency"
	"github.com/answerfeed/answerfeed/internal/web"
	"github.com/answerfeed/answerfeed/middleware"
)

// health tells whether the worker can serve, and what it waits for.
type health struct {
	dependencies *dependency.Set
	quarantines  map[string]*middleware.Quarantine // by handler
	ready        atomic.Bool                       // once set it stays so
}

func (h *health) report(context.Context) web.ReadyReport {
	r := web.ReadyReport{Ready: h.ready.Load(), Dependencies: map[string]web.Dependency{}}
	for name, s := range h.dependencies.States() {
		d := web.Dependency{Available: s.Available, Since: s.Since}
		if !s.Available {
			d.Detail = "does not answer" // anybody can read it
			if s.Refuses {
				d.Detail = "answers, but does not do its work"
			}
		}
		r.Dependencies[name] = d
	}
	for handler, q := range h.quarantines {
		if s := q.State(); s.Quarantined {
			if r.Quarantined == nil {
				r.Quarantined = map[string]web.Quarantined{}
			}
			r.Quarantined[handler] = web.Quarantined{Since: s.Since, Stuck: s.Stuck}
		}
	}
	return r
}

var dependencyAvailable = prometheus.NewDesc("answerfeed_dependency_available", //nolint:gochecknoglobals // a constant
	"1 while the dependency answers, 0 while it is away.", []string{"dependency"}, nil)

var _ prometheus.Collector = (*health)(nil)

// Describe implements prometheus.Collector.
func (h *health) Describe(ch chan<- *prometheus.Desc) { ch <- dependencyAvailable }

// Collect implements prometheus.Collector.
func (h *health) Collect(ch chan<- prometheus.Metric) {
	for name, s := range h.dependencies.States() {
		available := 0.0
		if s.Available {
			available = 1
		}
		ch <- prometheus.MustNewConstMetric(dependencyAvailable, prometheus.GaugeValue, available, name)
	}
}

// processName is this process among all workers.
func processName() string {
	host, _ := os.Hostname() // the process alone tells enough
	return fmt.Sprintf("%s:%d", host, os.Getpid())
}
