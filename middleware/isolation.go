package middleware

import (
	"context"
	"sync"
	"time"
)

// isolateWithin is how long a message that must be handled alone waits for the
// messages in work. A message that has run for that long is not one of which a
// process dies at once, so it may continue beside the isolated one.
const isolateWithin = 30 * time.Second

// Isolation lets one message be handled while no other message begins in this
// process. All handlers share one Isolation.
type Isolation struct {
	mu      sync.Mutex
	running int
	gate    chan struct{} // nil = open; closed when it opens
	idle    chan struct{} // closed when nothing runs behind the gate
}

// enter waits while a message is handled alone. It returns false when ctx ends or
// the worker stops first. After true the caller must call leave.
func (i *Isolation) enter(ctx context.Context, stopping <-chan struct{}) bool {
	for {
		gate := i.tryEnter(1)
		if gate == nil {
			return true
		}
		select {
		case <-gate:
		case <-stopping:
			return false
		case <-ctx.Done():
			return false
		}
	}
}

// tryEnter enters n times and returns nil, or returns the channel that is closed
// when the isolated message has ended.
func (i *Isolation) tryEnter(n int) (gate <-chan struct{}) {
	i.mu.Lock()
	defer i.mu.Unlock()
	if i.gate == nil {
		i.running += n
		return nil
	}
	return i.gate
}

func (i *Isolation) leave(n int) {
	i.mu.Lock()
	defer i.mu.Unlock()
	i.running -= n
	if i.running == 0 && i.idle != nil {
		close(i.idle)
		i.idle = nil
	}
}

// shut closes the gate and waits until no message is in work, at most for
// isolateWithin. It returns the function that opens the gate again; the gate opens
// by itself after within. It returns nil when another message is isolated, ctx
// ends or the worker stops.
func (i *Isolation) shut(ctx context.Context, stopping <-chan struct{}, within time.Duration) (open func()) {
	i.mu.Lock()
	if i.gate != nil {
		i.mu.Unlock()
		return nil
	}
	gate, idle := make(chan struct{}), make(chan struct{})
	i.gate = gate
	if i.running == 0 {
		close(idle)
	} else {
		i.idle = idle
	}
	i.mu.Unlock()
	var once sync.Once
	reopen := func() {
		once.Do(func() {
			i.mu.Lock()
			defer i.mu.Unlock()
			i.gate, i.idle = nil, nil
			close(gate)
		})
	}
	patience := time.NewTimer(isolateWithin)
	defer patience.Stop()
	select {
	case <-idle:
	case <-patience.C:
	case <-stopping:
		reopen()
		return nil
	case <-ctx.Done():
		reopen()
		return nil
	}
	last := time.AfterFunc(within, reopen)
	return func() { last.Stop(); reopen() }
}
