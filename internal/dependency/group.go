package dependency

import (
	"context"
	"errors"
	"fmt"
	"slices"
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
	set   *Set
	deps  []*dependency
	blame func(error) string // see Blame
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

// Open says whether messages may be taken in; changed is closed when that may
// have changed. It is the transport's gate.
func (g *Group) Open() (open bool, changed <-chan struct{}) {
	g.set.mu.Lock()
	defer g.set.mu.Unlock()
	for _, d := range g.deps {
		if !d.state.Available && !d.wantsMessage() {
			return false, g.set.changed
		}
	}
	return true, g.set.changed
}

// there says whether all are there. Under the Set's lock.
func (g *Group) there() bool {
	return !slices.ContainsFunc(g.deps, func(d *dependency) bool { return !d.state.Available })
}

// Wait returns nil once all are there. Its errors are those of [Group.Begin].
func (g *Group) Wait(ctx context.Context, within time.Duration) error {
	if g.available() {
		return nil
	}
	return g.wait(ctx, within, g.there)
}

// wait returns nil once ready, which is called under the Set's lock, says so;
// [ErrAway] when that takes longer, and [ErrStopping] when the worker stops
// first.
func (g *Group) wait(ctx context.Context, within time.Duration, ready func() bool) error {
	timer := time.NewTimer(within)
	defer timer.Stop()
	for {
		g.set.mu.Lock()
		done, changed := ready(), g.set.changed
		g.set.mu.Unlock()
		if done {
			return nil
		}
		select {
		case <-changed:
		case <-g.set.stopped:
			return ErrStopping
		case <-ctx.Done():
			return fmt.Errorf("%w: %w", ErrAway, ctx.Err())
		case <-timer.C:
			return ErrAway
		}
	}
}

// answered reports that each has answered a probe that began after the call.
// It takes as long as a probe or two.
func (g *Group) answered(ctx context.Context) bool {
	for _, d := range g.deps {
		g.set.mu.Lock()
		refuses := d.state.Refuses
		g.set.mu.Unlock()
		if refuses {
			return false
		}
		if d.ping == nil {
			continue
		}
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
