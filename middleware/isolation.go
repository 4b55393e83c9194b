package middleware

import (
	"context"
	"sync"
	"time"
)

// isolateWithin is how long a message that is to be handled alone waits for
// those in work. What has run for as long is not what a process dies of at
// once, and may go on beside it.
const isolateWithin = 30 * time.Second

// Isolation lets one message be handled while no other of this process begins.
// It is shared by all handlers.
type Isolation struct {
	mu      sync.Mutex
	running int
	gate    chan struct{} // nil = open; closed when it opens
	idle    chan struct{} // closed when nothing runs behind the gate
}

// enter waits while a message is handled alone; false: not any longer. Whoever
// has entered leaves.
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

// tryEnter enters n times, or returns the gate.
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

// shut closes the gate and waits until nothing runs behind it, or for
// isolateWithin. It returns nil when somebody else is alone, or there is no
// more time; else what opens the gate again, which happens in any case after
// the time that is given.
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
