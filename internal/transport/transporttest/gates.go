package transporttest

import (
	"sync"

	"github.com/stretchr/testify/require"

	"github.com/answerfeed/answerfeed/internal/transport"
)

func gates() []row {
	return []row{
		{"a closed gate takes nothing in, and what is in flight goes on", false, gateCloses},
		{"a consumer closes behind a closed gate", false, closeBehindGate},
	}
}

// gate is a door that the row opens and closes.
type gate struct {
	mu      sync.Mutex
	closed  bool
	changed chan struct{}
}

var _ transport.Gate = (*gate)(nil)

func newGate() *gate { return &gate{changed: make(chan struct{})} }

func (g *gate) Open() (bool, <-chan struct{}) {
	g.mu.Lock()
	defer g.mu.Unlock()
	return !g.closed, g.changed
}

func (g *gate) set(closed bool) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.closed = closed
	close(g.changed)
	g.changed = make(chan struct{})
}

func gateCloses(s *stage) {
	t, g, c := s.open(Settings{Lease: long, NackPause: long}), newGate(), window(4)
	c.Gate = g
	g.set(true)
	s.publish(t, topic, 6)
	gated := s.consume(t, c)
	gated.none()
	g.set(false)
	held := gated.take(4)
	g.set(true)
	ack(held[:2]...)
	s.settles(t, transport.Backlog{Ready: 2, InFlight: 2})
	gated.none() // there is room, and messages wait
	ack(held[2:]...)
	g.set(false)
	ack(gated.take(2)...)
	s.settles(t, transport.Backlog{})
}

func closeBehindGate(s *stage) {
	t, g, c := s.open(Settings{Lease: long, NackPause: long}), newGate(), window(1)
	c.Gate, c.Grace = g, long
	s.publish(t, topic, 3)
	gated := s.consume(t, c)
	held := gated.next()
	g.set(true)
	closed := make(chan struct{})
	go func() { defer close(closed); gated.sub.Close() }() //nolint:errcheck // never fails
	held.Ack()
	s.wait(closed, "the consumer is closed")
	gated.ended()
	other := s.consume(t, window(10)).take(2)
	require.NotContains(s, ids(other), held.UUID)
	ack(other...)
	s.settles(t, transport.Backlog{})
}
