package dependency

import (
	"context"
	"errors"
	"fmt"
	"time"
)

var (
	// ErrAway: a dependency was away for longer than anybody waits.
	ErrAway = errors.New("a dependency is away")
	// ErrStopping: it was away when the worker stopped.
	ErrStopping = errors.New("a dependency is away, and the worker stops")
)

// Group is what one handler needs.
type Group struct {
	set  *Set
	deps []*dependency
}

// Group returns the group of these names, each of which was added.
func (s *Set) Group(names ...string) (*Group, error) {
	g := &Group{set: s}
	for _, name := range names {
		d, ok := s.all[name]
		if !ok {
			return nil, fmt.Errorf("there is no dependency %q", name)
		}
		g.deps = append(g.deps, d)
	}
	return g, nil
}

// Open says whether all are there; changed is closed when that may have
// changed. It is the transport's gate.
func (g *Group) Open() (open bool, changed <-chan struct{}) {
	g.set.mu.Lock()
	defer g.set.mu.Unlock()
	for _, d := range g.deps {
		if !d.state.Available {
			return false, g.set.changed
		}
	}
	return true, g.set.changed
}

// Wait returns nil once all are there; [ErrAway] when that takes longer, and
// [ErrStopping] when the worker stops first.
func (g *Group) Wait(ctx context.Context, within time.Duration) error {
	open, changed := g.Open()
	if open {
		return nil
	}
	timer := time.NewTimer(within)
	defer timer.Stop()
	for !open {
		select {
		case <-changed:
		case <-g.set.stopped:
			return ErrStopping
		case <-ctx.Done():
			return fmt.Errorf("%w: %w", ErrAway, ctx.Err())
		case <-timer.C:
			return ErrAway
		}
		open, changed = g.Open()
	}
	return nil
}

// Answered reports that each has answered a probe that began after the call.
// It takes as long as a probe or two.
func (g *Group) Answered(ctx context.Context) bool {
	for _, d := range g.deps {
		p := g.set.ask(d)
		select {
		case <-p.done:
			if p.err != nil {
				return false
			}
		case <-ctx.Done():
			return false
		}
	}
	return true
}
