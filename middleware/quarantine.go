package middleware

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"
)

const (
	// MaxAbandoned is how many abandoned attempts of one handler may run, on all
	// its topics together, before the handler is put into quarantine.
	MaxAbandoned = 100
	// maxLeaked is the number of running abandoned attempts above which no trial
	// is made.
	maxLeaked = 10 * MaxAbandoned
	// trials is the number of attempts that a quarantined handler may make in a
	// trial, which shows whether the handler works again.
	trials = 3
	// firstTrial is the time from the start of a quarantine to its first trial.
	// The time doubles with each trial that fails, up to lastTrial.
	firstTrial, lastTrial = time.Minute, 10 * time.Minute
)

var errQuarantine = errors.New("the handler is in quarantine: too many of its attempts ignore their context")

// Quarantine stops a handler when too many of its attempts keep running after
// their context has ended. The other handlers continue. A handler has one
// Quarantine for all its topics.
//
// The states:
//
//	open --100 abandoned attempts run--> shut --a pause--> trial --all attempts ended--> open
//	                                      ^                  |
//	                                      +---one abandoned--+
//
// The quarantine also opens when half of the abandoned attempts have ended.
type Quarantine struct {
	handler string
	metrics *Metrics
	logger  *slog.Logger
	exit    func(error) // nil: the process continues

	open atomic.Bool // state == quarantineOpen, readable without the lock

	mu      sync.Mutex
	state   quarantineState
	since   time.Time
	changed chan struct{} // closed at the next change
	stuck   int           // abandoned attempts that still run
	leaked  int           // stuck when the quarantine last opened: these do not count towards the next one
	tried   int           // attempts of this trial that have begun
	trying  int           // attempts of this trial that have begun and not ended
	pause   time.Duration // until the next trial
	timer   *time.Timer
	closed  bool
}

type quarantineState int

const (
	quarantineOpen quarantineState = iota
	quarantineShut
	quarantineTrial
)

// NewQuarantine returns the quarantine of a handler, in the open state. If exit
// is not nil, the process ends instead of quarantining the handler: exit is
// called once, with the reason.
func NewQuarantine(handler string, m *Metrics, logger *slog.Logger, exit func(error)) *Quarantine {
	q := &Quarantine{handler: handler, metrics: m, logger: logger, exit: exit, changed: make(chan struct{}), since: time.Now(), pause: firstTrial}
	q.open.Store(true)
	m.quarantined.WithLabelValues(handler).Set(0)
	return q
}

// Close stops the timer of the trials.
func (q *Quarantine) Close() {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.closed = true
	if q.timer != nil {
		q.timer.Stop()
	}
}

// Open implements the transport's gate. While it returns false, the transport
// takes no messages in; changed is closed at the next change.
func (q *Quarantine) Open() (open bool, changed <-chan struct{}) {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.state == quarantineOpen || q.free(), q.changed
}

// QuarantineState is the state that /readyz and metrics show.
type QuarantineState struct {
	Quarantined bool
	Since       time.Time // of the last change
	Stuck       int       // abandoned attempts that still run
}

// State returns the current state.
func (q *Quarantine) State() QuarantineState {
	q.mu.Lock()
	defer q.mu.Unlock()
	return QuarantineState{Quarantined: q.state != quarantineOpen, Since: q.since, Stuck: q.stuck}
}

// free reports whether a trial has room for one more attempt.
func (q *Quarantine) free() bool { return q.state == quarantineTrial && q.tried < trials }

// shut reports whether the handler is quarantined. A nil Quarantine is open.
func (q *Quarantine) shut() bool { return q != nil && !q.open.Load() }

// enter waits until an attempt may begin, and reports whether the attempt belongs
// to a trial. It returns an error after within, or when the worker stops.
func (q *Quarantine) enter(ctx context.Context, within time.Duration, stopping <-chan struct{}) (trial bool, err error) {
	patience := time.NewTimer(within)
	defer patience.Stop()
	for {
		trial, changed := q.admit()
		if changed == nil {
			return trial, nil
		}
		select {
		case <-changed:
		case <-stopping:
			return false, errQuarantine
		case <-ctx.Done():
			return false, errQuarantine
		case <-patience.C:
			return false, errQuarantine
		}
	}
}

// admit lets an attempt begin (changed is nil), or returns the channel that is
// closed at the next change.
func (q *Quarantine) admit() (trial bool, changed <-chan struct{}) {
	q.mu.Lock()
	defer q.mu.Unlock()
	switch {
	case q.state == quarantineOpen:
		return false, nil
	case q.free():
		q.tried++
		q.trying++
		if !q.free() { // the trial is full: the transport must stop the intake
			q.notify()
		}
		return true, nil
	}
	return false, q.changed
}

// trialPassed ends an attempt of a trial that returned in time.
func (q *Quarantine) trialPassed() {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.trying--
	if q.state == quarantineTrial && q.trying == 0 {
		q.setState(quarantineOpen)
		q.logger.Info("the handler is out of quarantine", "handler", q.handler, "stuck", q.stuck)
	}
}

// attemptAbandoned counts an attempt that ignores its context.
func (q *Quarantine) attemptAbandoned(trial bool) {
	if q == nil {
		return
	}
	q.mu.Lock()
	q.stuck++
	if trial {
		q.trying--
	}
	exceeded := q.state == quarantineOpen && q.stuck-q.leaked >= MaxAbandoned || q.state == quarantineTrial && trial
	stuck, pause := q.stuck, q.pause
	if exceeded {
		q.setState(quarantineShut)
		q.scheduleTrial()
	}
	q.mu.Unlock()
	if exceeded {
		q.report(stuck, pause)
	}
}

// report logs the quarantine with the stacks of the handler's goroutines.
func (q *Quarantine) report(stuck int, pause time.Duration) {
	attrs := []any{"handler", q.handler, "stuck", stuck, "stacks", stacksOf(q.handler)}
	if q.exit != nil {
		q.logger.Error("too many attempts of a handler ignore the end of their context and still run; the process ends, so that a new one starts without them", attrs...)
		q.exit(fmt.Errorf("handler %s: %d attempts ignore the end of their context and still run; the process ends because the handler's on_stuck is exit", q.handler, stuck))
		return
	}
	q.logger.Error("a handler is in quarantine: too many of its attempts ignore the end of their context and still run; other handlers continue",
		append(attrs, "next_trial", pause.String())...)
}

// attemptEnded counts an abandoned attempt that has ended.
func (q *Quarantine) attemptEnded() {
	if q == nil {
		return
	}
	q.mu.Lock()
	defer q.mu.Unlock()
	q.stuck--
	q.leaked = min(q.leaked, q.stuck)
	if q.state != quarantineOpen && q.stuck-q.leaked <= MaxAbandoned/2 && q.exit == nil {
		q.setState(quarantineOpen)
		q.logger.Info("the handler is out of quarantine: its abandoned attempts have ended", "handler", q.handler, "stuck", q.stuck)
	}
}

// scheduleTrial sets the timer of the next trial. A handler with maxLeaked stuck
// attempts gets no more trials: its quarantine opens when attempts end.
func (q *Quarantine) scheduleTrial() {
	if q.closed || q.exit != nil || q.stuck >= maxLeaked {
		return
	}
	q.timer = time.AfterFunc(q.pause, q.startTrial)
	q.pause = min(2*q.pause, lastTrial)
}

func (q *Quarantine) startTrial() {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.state != quarantineShut || q.closed {
		return
	}
	q.setState(quarantineTrial)
	q.logger.Info("the quarantined handler gets a trial of a few messages", "handler", q.handler, "stuck", q.stuck)
}

// setState changes the state and notifies those that wait.
func (q *Quarantine) setState(to quarantineState) {
	from := q.state
	q.state, q.tried = to, 0
	if to == quarantineOpen {
		q.leaked, q.pause = q.stuck, firstTrial
		if q.timer != nil {
			q.timer.Stop()
		}
	}
	if (from == quarantineOpen) != (to == quarantineOpen) {
		q.since = time.Now()
		q.open.Store(to == quarantineOpen)
		quarantined := 1.0
		if to == quarantineOpen {
			quarantined = 0
		}
		q.metrics.quarantined.WithLabelValues(q.handler).Set(quarantined)
	}
	q.notify()
}

func (q *Quarantine) notify() {
	close(q.changed)
	q.changed = make(chan struct{})
}
