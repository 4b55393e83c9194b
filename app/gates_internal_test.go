package app

import (
	"context"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// barrier is a gate that a test opens and closes.
type barrier struct {
	mu      sync.Mutex
	open    bool
	changed chan struct{}
}

func newBarrier(open bool) *barrier { return &barrier{open: open, changed: make(chan struct{})} }

func (b *barrier) Open() (bool, <-chan struct{}) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.open, b.changed
}

func (b *barrier) set(open bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.open = open
	close(b.changed)
	b.changed = make(chan struct{})
}

// Whoever waits for both hears of each change of either: without it a consumer
// waits behind an open gate, or takes in behind a closed one.
func TestGates_EachChangeIsHeardOf(t *testing.T) {
	one, other := newBarrier(true), newBarrier(true)
	g := newGates(one, other)
	ctx, stop := context.WithCancel(t.Context())
	ended := make(chan struct{})
	go func() { defer close(ended); g.run(ctx) }()
	defer func() { stop(); <-ended }()
	waitFor := func(want bool) {
		t.Helper()
		deadline := time.After(30 * time.Second)
		for open, changed := g.Open(); open != want; open, changed = g.Open() {
			select {
			case <-changed:
			case <-deadline:
				require.Fail(t, "the change was not told")
			}
		}
	}
	for range 1000 {
		waitFor(true)
		go one.set(false)
		waitFor(false)
		go one.set(true)
		waitFor(true)
		go other.set(false)
		waitFor(false)
		go other.set(true)
	}
	waitFor(true)
}
