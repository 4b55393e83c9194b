package app

import (
	"context"
	"fmt"
	"os"
	"sync/atomic"

	"github.com/answerfeed/answerfeed/app/dependency"
	"github.com/answerfeed/answerfeed/app/web"
)

// The names of what every worker depends on.
const (
	needsDatabase  = "database"
	needsTransport = "transport"
)

// health tells whether the worker can serve, and what it waits for.
type health struct {
	dependencies *dependency.Set
	ready        atomic.Bool // once set it stays so
}

func (h *health) report(context.Context) web.ReadyReport {
	r := web.ReadyReport{Ready: h.ready.Load(), Dependencies: map[string]web.Dependency{}}
	for name, s := range h.dependencies.States() {
		d := web.Dependency{Available: s.Available, Since: s.Since}
		if !s.Available {
			d.Detail = "does not answer" // anybody can read it
		}
		r.Dependencies[name] = d
	}
	return r
}

// processName is this process among all workers.
func processName() string {
	host, _ := os.Hostname() // the process alone tells enough
	return fmt.Sprintf("%s:%d", host, os.Getpid())
}
