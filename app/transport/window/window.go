// Package window holds the messages that a subscriber has in flight: passed
// to the router, and neither acknowledged nor given back yet. Transports share
// it; what an outcome means to the broker is theirs.
package window

import (
	"context"
	"sync"
	"time"

	"github.com/ThreeDotsLabs/watermill/message"
)

// MaxBytes is the payload that one window takes into work at once, whatever
// its size in messages: 64 MiB. A single message may be larger.
const MaxBytes = 64 << 20

// Outcome is how a message left the window.
type Outcome int

// The outcomes, and what they mean to the queue.
const (
	Acked    Outcome = iota // handled, or safe elsewhere
	Nacked                  // failed; to come back after a pause
	Returned                // not handled to the end; to come back at once
)

// Window passes messages to a channel and reports each one's outcome once.
// It has one goroutine for each message in flight and none else.
type Window struct {
	out     chan *message.Message
	expired chan struct{} // what still runs is given up
	wg      sync.WaitGroup
	once    sync.Once
}

// New returns an empty window.
func New() *Window {
	return &Window{
		out:     make(chan *message.Message),
		expired: make(chan struct{}),
	}
}

// Messages is the channel that the router reads. Close closes it.
func (w *Window) Messages() <-chan *message.Message { return w.out }

// Pass hands m to the reader of Messages and calls settled with its outcome,
// once, from a goroutine of the window. The context of m is ctx, without its
// cancellation, until the outcome: so a handler that runs while the worker
// stops may finish. Pass must not be called during or after Close.
func (w *Window) Pass(ctx context.Context, m *message.Message, settled func(Outcome)) {
	ctx, cancel := context.WithCancel(context.WithoutCancel(ctx))
	m.SetContext(ctx)
	w.wg.Go(func() {
		defer cancel()
		select {
		case w.out <- m:
		case <-w.expired:
			settled(Returned)
			return
		}
		select {
		case <-m.Acked():
			settled(Acked)
		case <-m.Nacked():
			settled(Nacked)
		case <-w.expired:
			settled(last(m))
		}
	})
}

// last is the outcome of a message whose time is over: it may have been told
// at that very moment.
func last(m *message.Message) Outcome {
	select {
	case <-m.Acked():
		return Acked
	case <-m.Nacked():
		return Nacked
	default:
		return Returned
	}
}

// Close waits up to grace for the outcome of every message that was passed,
// returns the rest, and closes the channel. Each settled has been called when
// it returns.
func (w *Window) Close(grace time.Duration) {
	w.once.Do(func() {
		expiry := time.AfterFunc(grace, func() { close(w.expired) })
		w.wg.Wait()
		if expiry.Stop() {
			close(w.expired)
		}
		close(w.out)
	})
}
