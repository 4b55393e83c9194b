package app

import (
	"context"
	"log/slog"
	"sync"
	"time"

	"github.com/answerfeed/answerfeed/app/web"
)

const (
	probeEvery = 500 * time.Millisecond
	// probeWithin bounds one probe; missesAway in a row mean away.
	probeWithin = 500 * time.Millisecond
	missesAway  = 2
)

// health probes what the worker depends on and remembers since when each is
// there or away. One log line a change.
type health struct {
	logger *slog.Logger
	now    func() time.Time

	mu    sync.Mutex
	deps  map[string]*dependency
	ready bool
}

type dependency struct {
	ping   func(context.Context) error
	misses int
	state  web.Dependency
}

func newHealth(logger *slog.Logger) *health {
	return &health{logger: logger, now: time.Now, deps: map[string]*dependency{}}
}

// watch adds a dependency, which is there now.
func (h *health) watch(name string, ping func(context.Context) error) {
	h.deps[name] = &dependency{ping: ping, state: web.Dependency{Available: true, Since: h.now()}}
}

// run probes until ctx ends.
func (h *health) run(ctx context.Context) {
	var wg sync.WaitGroup
	for name, d := range h.deps {
		wg.Go(func() {
			tick := time.NewTicker(probeEvery)
			defer tick.Stop()
			for {
				select {
				case <-ctx.Done():
					return
				case <-tick.C:
				}
				probe, cancel := context.WithTimeout(ctx, probeWithin)
				err := d.ping(probe)
				cancel()
				if ctx.Err() == nil {
					h.note(name, d, err)
				}
			}
		})
	}
	wg.Wait()
}

func (h *health) note(name string, d *dependency, err error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if err == nil {
		d.misses = 0
		if !d.state.Available {
			h.logger.Info("a dependency is back", "dependency", name, "away", h.now().Sub(d.state.Since).String())
			d.state = web.Dependency{Available: true, Since: h.now()}
		}
		return
	}
	d.misses++
	if d.misses == missesAway {
		h.logger.Error("a dependency is away; messages wait for it", "dependency", name, "error", err)
		d.state = web.Dependency{Since: h.now(), Detail: "does not answer"}
	}
}

// started says that the worker can serve; it never takes that back.
func (h *health) started() {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.ready = true
}

func (h *health) report(context.Context) web.ReadyReport {
	h.mu.Lock()
	defer h.mu.Unlock()
	r := web.ReadyReport{Ready: h.ready, Dependencies: map[string]web.Dependency{}}
	for name, d := range h.deps {
		r.Dependencies[name] = d.state
	}
	return r
}
