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
	// maxLeaked is how many may run before no trial is made any more.
	maxLeaked = 10 * MaxAbandoned
	// trials are the attempts that a handler in quarantine may make, to show
	// whether it has healed.
	trials = 3
	// firstTrial is how long a handler is left alone; the time doubles with each
	// trial that fails, up to lastTrial.
	firstTrial, lastTrial = time.Minute, 10 * time.Minute
)

var errQuarantine = errors.New("the handler is in quarantine: too many of its attempts ignore their context")

// Quarantine takes a handler out of work of which too many attempts ignore the
// end of their context and run on. The other handlers go on. One Quarantine is
// for all topics of its handler.
//
// Its life:
//
//	open --100 abandoned attempts run--> shut --a while--> trial --all came back--> open
//	                                      ^                  |
//	                                      +---one abandoned--+
//
// It opens as well once half of the abandoned attempts have come back.
type Quarantine struct {
	handler string
	metrics *Metrics
	logger  *slog.Logger
	exit    func(error) // nil: the worker goes on

	open atomic.Bool // the state for those in a hurry

	mu      sync.Mutex
	state   quarantineState
	since   time.Time
	changed chan struct{} // closed at the next change
	stuck   int           // abandoned attempts that run
	leaked  int           // of them, those that do not count: they were there when it opened last
	tried   int           // attempts of this trial that have begun
	trying  int           // and have not ended
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

// NewQuarantine returns the quarantine of a handler, open. With exit, the
// worker is given up instead: exit is told why, once.
func NewQuarantine(handler string, m *Metrics, logger *slog.Logger, exit func(error)) *Quarantine {
	q := &Quarantine{handler: handler, metrics: m, logger: logger, exit: exit, changed: make(chan struct{}), since: time.Now(), pause: firstTrial}
	q.open.Store(true)
	m.quarantined.WithLabelValues(handler).Set(0)
	return q
}

// Close ends the trials.
func (q *Quarantine) Close() {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.closed = true
	if q.timer != nil {
		q.timer.Stop()
	}
}

// Open is the transport's gate: it stops the intake.
func (q *Quarantine) Open() (open bool, changed <-chan struct{}) {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.state == quarantineOpen || q.free(), q.changed
}

// QuarantineState is what is told of a quarantine.
type QuarantineState struct {
	Quarantined bool
	Since       time.Time // of the last change
	Stuck       int       // abandoned attempts that still run
}

// State is how it is.
func (q *Quarantine) State() QuarantineState {
	q.mu.Lock()
	defer q.mu.Unlock()
	return QuarantineState{Quarantined: q.state != quarantineOpen, Since: q.since, Stuck: q.stuck}
}

// free reports that a trial has room for one more attempt.
func (q *Quarantine) free() bool { return q.state == quarantineTrial && q.tried < trials }

// shut reports that no attempt should be made that can wait elsewhere.
func (q *Quarantine) shut() bool { return q != nil && !q.open.Load() }

// enter returns once an attempt may begin, and whether it is one of a trial;
// an error when that takes longer, or the worker stops.
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

// admit lets an attempt in, or returns what to wait for.
func (q *Quarantine) admit() (trial bool, changed <-chan struct{}) {
	q.mu.Lock()
	defer q.mu.Unlock()
	switch {
	case q.state == quarantineOpen:
		return false, nil
	case q.free():
		q.tried++
		q.trying++
		if !q.free() { // the intake stops again
			q.tell()
		}
		return true, nil
	}
	return false, q.changed
}

// passed ends an attempt of a trial that was not abandoned.
func (q *Quarantine) passed() {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.trying--
	if q.state == quarantineTrial && q.trying == 0 {
		q.turn(quarantineOpen)
		q.logger.Info("the handler is out of quarantine", "handler", q.handler, "stuck", q.stuck)
	}
}

// abandon counts an attempt that ignores its context.
func (q *Quarantine) abandon(trial bool) {
	if q == nil {
		return
	}
	q.mu.Lock()
	q.stuck++
	if trial {
		q.trying--
	}
	sick := q.state == quarantineOpen && q.stuck-q.leaked >= MaxAbandoned || q.state == quarantineTrial && trial
	stuck, pause := q.stuck, q.pause
	if sick {
		q.turn(quarantineShut)
		q.schedule()
	}
	q.mu.Unlock()
	if sick {
		q.report(stuck, pause)
	}
}

// report tells of the quarantine, with what the handler's goroutines do.
func (q *Quarantine) report(stuck int, pause time.Duration) {
	attrs := []any{"handler", q.handler, "stuck", stuck, "stacks", stacksOf(q.handler)}
	if q.exit != nil {
		q.logger.Error("attempts of a handler ignore their context and still run; the process is given up for a new one", attrs...)
		q.exit(fmt.Errorf("handler %s: %d attempts that ignore their context are still running; the process is given up for a new one, as on_stuck has it", q.handler, stuck))
		return
	}
	q.logger.Error("a handler is in quarantine, since its attempts ignore their context and still run; the others go on",
		append(attrs, "next_trial", pause.String())...)
}

// comeBack counts an abandoned attempt that has ended after all.
func (q *Quarantine) comeBack() {
	if q == nil {
		return
	}
	q.mu.Lock()
	defer q.mu.Unlock()
	q.stuck--
	q.leaked = min(q.leaked, q.stuck)
	if q.state != quarantineOpen && q.stuck-q.leaked <= MaxAbandoned/2 && q.exit == nil {
		q.turn(quarantineOpen)
		q.logger.Info("the handler is out of quarantine: its attempts have come back", "handler", q.handler, "stuck", q.stuck)
	}
}

// schedule makes the next trial. Who leaks more with each trial is tried no
// more: it opens when its attempts come back.
func (q *Quarantine) schedule() {
	if q.closed || q.exit != nil || q.stuck >= maxLeaked {
		return
	}
	q.timer = time.AfterFunc(q.pause, q.try)
	q.pause = min(2*q.pause, lastTrial)
}

func (q *Quarantine) try() {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.state != quarantineShut || q.closed {
		return
	}
	q.turn(quarantineTrial)
	q.logger.Info("the handler in quarantine may try a few messages", "handler", q.handler, "stuck", q.stuck)
}

// turn changes the state.
func (q *Quarantine) turn(to quarantineState) {
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
	q.tell()
}

func (q *Quarantine) tell() {
	close(q.changed)
	q.changed = make(chan struct{})
}
