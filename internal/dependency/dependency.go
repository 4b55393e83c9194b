// Package dependency watches what handlers cannot work without, such as the
// database, so that its outage is nobody's failure: while it is away nothing is
// taken in, and what is in flight waits.
//
// A dependency's life:
//
//	there --two probes in a row missed--> away --a probe answered--> there
//	there --work failed for its sake--> away --one attempt succeeded--> there
//
// The one thing to know: a probe is made every 500 ms and may take as long, so
// that an outage is seen within 2 s; one may also be asked for at any moment,
// and many who ask share it. A probe cannot see everything, a full disk say. An
// outage that was found at work ends by work: one message at a time is tried.
package dependency

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"time"
)

const (
	// probeEvery is how often each is asked; probeWithin bounds one probe;
	// missesAway in a row mean away.
	probeEvery, probeWithin = 500 * time.Millisecond, 500 * time.Millisecond
	missesAway              = 2
)

// State is how a dependency is.
type State struct {
	Available bool
	Since     time.Time
	// Refuses: it is away although it answers, since work fails for its sake.
	Refuses bool
}

// Set is everything that the worker depends on.
type Set struct {
	logger *slog.Logger
	all    map[string]*dependency

	mu      sync.Mutex
	changed chan struct{} // closed at the next change of any
	stopped chan struct{} // nobody waits any more
	closed  bool          // nobody asks any more
	probes  sync.WaitGroup
}

// dependency is one of them. Its fields are guarded by the Set's lock.
type dependency struct {
	name   string
	ping   func(context.Context) error // nil: only work shows how it is
	trial  func(context.Context) error // see SetTrial
	misses int
	state  State
	outage outage
	shown  bool // it was away once
	// now is the probe under way, next the one that begins when it has ended.
	now, next *probe
}

// probe is one question and, once done, its answer.
type probe struct {
	done chan struct{}
	err  error
}

// New returns an empty set, which logs a line for each change.
func New(logger *slog.Logger) *Set {
	return &Set{logger: logger, all: map[string]*dependency{}, changed: make(chan struct{}), stopped: make(chan struct{})}
}

// Add adds a dependency, which is there now. All are added before Run. Without
// a ping only work shows how it is.
func (s *Set) Add(name string, ping func(context.Context) error) {
	s.all[name] = &dependency{name: name, ping: ping, state: State{Available: true, Since: time.Now()}}
}

// Run probes until ctx ends.
func (s *Set) Run(ctx context.Context) {
	tick := time.NewTicker(probeEvery)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		for _, d := range s.all {
			s.lapse(d)
			if d.ping != nil {
				s.ask(d)
			}
		}
	}
}

// Stop lets nobody wait any more: the worker drains.
func (s *Set) Stop() {
	s.mu.Lock()
	defer s.mu.Unlock()
	select {
	case <-s.stopped:
	default:
		close(s.stopped)
	}
}

// Close waits for the probes under way. What is asked afterwards is not
// answered.
func (s *Set) Close() {
	s.Stop()
	s.mu.Lock()
	s.closed = true
	s.mu.Unlock()
	s.probes.Wait()
}

// States are all by their names. One that only work shows is among them once it
// was away.
func (s *Set) States() map[string]State {
	s.mu.Lock()
	defer s.mu.Unlock()
	states := map[string]State{}
	for name, d := range s.all {
		if d.ping != nil || d.shown {
			states[name] = d.state
		}
	}
	return states
}

// ask returns a probe that begins after the call: the next one, if one is
// under way.
func (s *Set) ask(d *dependency) *probe {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return unanswered()
	}
	if d.now == nil {
		d.now = &probe{done: make(chan struct{})}
		s.probes.Go(func() { s.probe(d) })
		return d.now
	}
	if d.next == nil {
		d.next = &probe{done: make(chan struct{})}
	}
	return d.next
}

var errClosed = errors.New("nobody asks any more")

func unanswered() *probe {
	p := &probe{done: make(chan struct{}), err: errClosed}
	close(p.done)
	return p
}

// probe makes the probe under way, and those that were asked for meanwhile.
func (s *Set) probe(d *dependency) {
	for more := true; more; {
		ctx, cancel := context.WithTimeout(context.Background(), probeWithin)
		err := d.ping(ctx)
		cancel()
		tried := err == nil && s.wantsTrial(d) && s.try(d)
		s.mu.Lock()
		s.note(d, err)
		if tried {
			s.over(d)
		}
		done := d.now
		done.err = err
		d.now, d.next = d.next, nil
		more = d.now != nil
		s.mu.Unlock()
		close(done.done)
	}
}

func (s *Set) note(d *dependency, err error) {
	switch err {
	case nil:
		answersAgain := d.misses > 0
		d.misses = 0
		switch {
		case d.state.Refuses && answersAgain: // one attempt may be made
			s.tell()
		case !d.state.Available && !d.state.Refuses:
			s.back(d)
		}
	default:
		d.misses++
		if d.state.Available && d.misses >= missesAway {
			s.gone(d, err)
		}
	}
}

func (s *Set) back(d *dependency) {
	s.logger.Info("a dependency is back", "dependency", d.name, "away", time.Since(d.state.Since).String())
	d.state = State{Available: true, Since: time.Now()}
	s.tell()
}

func (s *Set) gone(d *dependency, err error) {
	s.logger.Error("a dependency is away; messages wait for it", "dependency", d.name, "error", err)
	d.state, d.shown = State{Since: time.Now()}, true
	s.tell()
}

// tell wakes who waits for a change.
func (s *Set) tell() {
	close(s.changed)
	s.changed = make(chan struct{})
}
