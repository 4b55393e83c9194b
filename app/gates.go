package app

import (
	"context"
	"sync"

	"github.com/answerfeed/answerfeed/internal/transport"
)

// gates are two gates as one, which is open while both are.
type gates struct {
	one, other transport.Gate

	mu      sync.Mutex
	changed chan struct{}
}

var _ transport.Gate = (*gates)(nil)

func newGates(one, other transport.Gate) *gates {
	return &gates{one: one, other: other, changed: make(chan struct{})}
}

// Open implements transport.Gate. A change between the answer and the wait for
// changed is not missed: changed is taken before the two are asked.
func (g *gates) Open() (open bool, changed <-chan struct{}) {
	g.mu.Lock()
	changed = g.changed
	g.mu.Unlock()
	one, _ := g.one.Open()
	other, _ := g.other.Open()
	return one && other, changed
}

// run passes on the changes of the two until ctx ends. It tells after it has
// begun to listen, so that no change is missed.
func (g *gates) run(ctx context.Context) {
	for {
		_, one := g.one.Open()
		_, other := g.other.Open()
		g.tell()
		select {
		case <-one:
		case <-other:
		case <-ctx.Done():
			return
		}
	}
}

func (g *gates) tell() {
	g.mu.Lock()
	defer g.mu.Unlock()
	close(g.changed)
	g.changed = make(chan struct{})
}
