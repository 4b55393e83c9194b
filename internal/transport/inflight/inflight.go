// Package inflight holds the messages that a subscriber has in flight: passed
// to the router, and neither acknowledged nor given back yet. Transports share
// it; what an outcome means to the broker is theirs.
//
// The one thing to know: a message says that it was settled by closing a
// channel, and one goroutine looks at those of the whole window. A goroutine
// for each message took a seventh of the processor time of a drain.
package inflight

import (
	"context"
	"sync"
	"time"

	"github.com/ThreeDotsLabs/watermill/message"
)

const (
	// look is how often a window with many in flight is looked through.
	look = time.Millisecond
	// few in flight are looked through as soon as the oldest is settled.
	few = 16
	// share of the time, at most one in so many, goes into looking.
	share = 10
)

// Outcome is how a message left the window.
type Outcome int

// The outcomes, and what they mean to the queue.
const (
	Acked    Outcome = iota // handled, or safe elsewhere
	Nacked                  // failed; to come back after a pause
	Returned                // not handled to the end; to come back at once
)

// Window passes messages to a channel and reports each one's outcome once.
type Window struct {
	out     chan *message.Message
	expired chan struct{} // what still runs is given up
	once    sync.Once
	done    chan struct{} // run has ended, if it was ever started

	mu      sync.Mutex
	passed  []place // since the last look
	running bool    // since the first message
	idle    bool    // Pass has to wake run
	closing bool    // no more will be passed
	signal  chan struct{}
}

// place is a message in flight.
type place struct {
	message *message.Message
	cancel  context.CancelFunc
	settled func(Outcome)
}

// New returns an empty window for at most size messages.
func New(size int) *Window {
	return &Window{
		out:     make(chan *message.Message, size),
		expired: make(chan struct{}),
		done:    make(chan struct{}),
		signal:  make(chan struct{}, 1),
	}
}

// Messages is the channel that the router reads. Close closes it.
func (w *Window) Messages() <-chan *message.Message { return w.out }

// Pass hands m to the reader of Messages and calls settled with its outcome,
// once, from the goroutine of the window, which it must not hold up. The
// context of m is ctx, without its cancellation, until the outcome: so a
// handler that runs while the worker stops may finish. No more may be in
// flight than the window's size, and Pass must not be called during or after
// Close.
func (w *Window) Pass(ctx context.Context, m *message.Message, settled func(Outcome)) {
	ctx, cancel := context.WithCancel(context.WithoutCancel(ctx))
	m.SetContext(ctx)
	w.out <- m // there is room for all that may be in flight
	w.mu.Lock()
	w.passed = append(w.passed, place{m, cancel, settled})
	if !w.running {
		w.running = true
		go w.run()
	}
	idle := w.idle
	w.idle = false
	w.mu.Unlock()
	if idle {
		w.wake()
	}
}

func (w *Window) wake() {
	select {
	case w.signal <- struct{}{}:
	default:
	}
}

// run reports outcomes until the window is closed and empty.
func (w *Window) run() {
	defer close(w.done)
	var (
		inFlight []place
		over     bool // what is left is given up
		next     time.Time
		timer    = time.NewTimer(0)
	)
	defer timer.Stop()
	for {
		w.mu.Lock()
		inFlight = append(inFlight, w.passed...)
		clear(w.passed)
		w.passed = w.passed[:0]
		closing := w.closing
		w.mu.Unlock()

		if now := time.Now(); over || len(inFlight) <= few || !now.Before(next) {
			inFlight = report(inFlight, over)
			next = now.Add(max(look, share*time.Since(now)))
		}
		if closing && len(inFlight) == 0 {
			return
		}
		over = w.wait(inFlight, next, timer) || over
	}
}

// wait returns when it is time to look again; true when what is left is to be
// given up.
func (w *Window) wait(inFlight []place, next time.Time, timer *time.Timer) (over bool) {
	n := len(inFlight)
	if n <= 1 && !w.rest() {
		return false
	}
	// The oldest of few is listened to. Of many, those that finish together
	// are reported together, at the next look.
	var acked, nacked <-chan struct{}
	if n > 0 && n <= few {
		acked, nacked = inFlight[0].message.Acked(), inFlight[0].message.Nacked()
	}
	var tick <-chan time.Time
	if n > 1 {
		timer.Reset(time.Until(next))
		tick = timer.C
	}
	select {
	case <-w.signal:
	case <-acked:
	case <-nacked:
	case <-tick:
	case <-w.expired:
		return true
	}
	return false
}

// rest says that run waits for no look, so that Pass has to wake it; false
// when something was passed just now.
func (w *Window) rest() bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.idle = len(w.passed) == 0
	return w.idle
}

// report tells the outcome of what is settled, or of all when it is over, and
// returns the rest.
func report(inFlight []place, over bool) []place {
	rest := inFlight[:0]
	for _, p := range inFlight {
		outcome, settled := outcomeOf(p.message)
		if !settled && !over {
			rest = append(rest, p)
			continue
		}
		p.settled(outcome)
		p.cancel()
	}
	clear(inFlight[len(rest):])
	return rest
}

// outcomeOf is Returned for a message that was not settled yet.
func outcomeOf(m *message.Message) (o Outcome, settled bool) {
	select {
	case <-m.Acked():
		return Acked, true
	default:
	}
	select {
	case <-m.Nacked():
		return Nacked, true
	default:
		return Returned, false
	}
}

// Close waits up to grace for the outcome of every message that was passed,
// returns the rest, and closes the channel. Each settled has been called when
// it returns.
func (w *Window) Close(grace time.Duration) {
	w.once.Do(func() {
		defer close(w.out)
		w.mu.Lock()
		w.closing = true
		running := w.running
		w.mu.Unlock()
		if !running {
			return
		}
		w.wake()
		expiry := time.AfterFunc(grace, func() { close(w.expired) })
		<-w.done
		expiry.Stop()
		for len(w.out) > 0 { // nobody took them, and they have been returned
			<-w.out
		}
	})
}
