package dependency

import (
	"context"
	"time"
)

const (
	// retryEvery is the pause between two attempts of an outage that was found
	// at work. Its end is so seen within a second.
	retryEvery = 500 * time.Millisecond
	// trialWithin bounds a trial.
	trialWithin = 5 * time.Second
	// lapseAfter is how long such an outage goes on for want of a message that
	// could end it, although messages are let in.
	lapseAfter = 5 * time.Second
)

// outage is what a dependency's outage has to show when it was found at work.
type outage struct {
	met    map[*Group]bool // who met it, and so may see that it is over
	held   int             // attempts that they hold back
	trying bool            // one of them is made
	next   time.Time       // when another may be
	alone  time.Time       // since when none is held
}

// SetTrial gives a dependency a test that shows whether it takes work again:
// it is made while an outage lasts that was found at work and nobody is there
// to try. It is called before Run.
func (s *Set) SetTrial(name string, trial func(context.Context) error) { s.all[name].trial = trial }

// Blame names the dependency of the group to which an error of work belongs
// that is nobody else's fault, "" if there is none. It is called before the
// group is used.
func (g *Group) Blame(blame func(error) string) { g.blame = blame }

// Attempt is work that needs a Group.
type Attempt struct {
	group *Group
	began time.Time
	// proving are those whose outage ends if this attempt succeeds.
	proving []*dependency
}

// Begin returns an attempt once all are there. While one is away that the
// group found at work to be so, it lets one attempt at a time pass, which may
// show that the outage is over. It returns [ErrAway] when that takes
// longer, and [ErrStopping] when the worker stops first. The caller calls End.
func (g *Group) Begin(ctx context.Context, within time.Duration) (*Attempt, error) {
	a := &Attempt{group: g, began: time.Now()}
	if g.available() {
		return a, nil
	}
	var holding []*dependency
	err := g.wait(ctx, within, func() bool {
		g.release(holding)
		holding = holding[:0]
		if g.there() {
			return true
		}
		may := true
		for _, d := range g.deps {
			if d.state.Available {
				continue
			}
			if d.outage.met[g] {
				holding = append(holding, d)
				d.outage.held++
			}
			may = may && d.outage.met[g] && !d.outage.trying && d.misses == 0 && !time.Now().Before(d.outage.next)
		}
		if may {
			a.proving = holding
			for _, d := range holding {
				d.outage.trying = true
			}
		}
		return may
	})
	if err != nil {
		g.set.mu.Lock()
		g.release(holding)
		g.set.tell()
		g.set.mu.Unlock()
		return nil, err
	}
	a.began = time.Now()
	return a, nil
}

// release takes attempts back that were held. Under the Set's lock.
func (g *Group) release(held []*dependency) {
	for _, d := range held {
		d.outage.held--
		if d.outage.held == 0 {
			d.outage.alone = time.Now()
		}
	}
}

// End tells how the attempt ended, and reports whether it counts: not when it
// failed for the sake of a dependency, which then is away. doubtful says that
// err may be a dependency's fault: it counts if each has answered since.
func (a *Attempt) End(ctx context.Context, err error, doubtful bool) (counts bool) {
	g, s := a.group, a.group.set
	s.mu.Lock()
	blamed := g.blamed(err)
	for _, d := range a.proving {
		d.outage.trying = false
		switch {
		case err == nil:
			s.over(d)
		case d == blamed || doubtful:
			d.outage.next = time.Now().Add(retryEvery)
			time.AfterFunc(retryEvery, s.wake)
		}
	}
	g.release(a.proving)
	if blamed != nil && !a.began.Before(blamed.lastBack()) {
		s.found(blamed, g, err)
	}
	if len(a.proving) > 0 {
		s.tell()
	}
	s.mu.Unlock()
	if blamed != nil {
		return false
	}
	return !doubtful || g.answered(ctx)
}

// available says whether all are there.
func (g *Group) available() bool {
	g.set.mu.Lock()
	defer g.set.mu.Unlock()
	return g.there()
}

func (g *Group) blamed(err error) *dependency {
	if err == nil || g.blame == nil {
		return nil
	}
	return g.set.all[g.blame(err)]
}

func (s *Set) wake() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.tell()
}

// lastBack is when the last outage ended, if none is now.
func (d *dependency) lastBack() time.Time {
	if d.state.Available {
		return d.state.Since
	}
	return time.Time{}
}

// found begins an outage that work has met, or joins it.
func (s *Set) found(d *dependency, by *Group, err error) {
	if d.state.Available {
		s.gone(d, err)
	}
	if !d.state.Refuses {
		d.state.Refuses = true
		d.outage = outage{met: map[*Group]bool{}, alone: time.Now()}
		d.outage.next = time.Now().Add(retryEvery)
		time.AfterFunc(retryEvery, s.wake)
	}
	d.outage.met[by] = true
}

// over ends an outage that was found at work.
func (s *Set) over(d *dependency) {
	if d.state.Refuses {
		s.back(d)
	}
}

// wantsMessage says that there is nobody to end the outage, and no trial: a
// message must be let in.
func (d *dependency) wantsMessage() bool {
	return d.state.Refuses && d.trial == nil && d.outage.held == 0
}

// wantsTrial says that a trial must show how the dependency is.
func (s *Set) wantsTrial(d *dependency) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return d.state.Refuses && d.trial != nil && d.outage.held == 0
}

func (s *Set) try(d *dependency) bool {
	ctx, cancel := context.WithTimeout(context.Background(), trialWithin)
	defer cancel()
	return d.trial(ctx) == nil
}

// lapse ends an outage for which no message came that could end it: those that
// met it are with another worker, say. The next that meets it begins another.
func (s *Set) lapse(d *dependency) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if d.wantsMessage() && time.Since(d.outage.alone) > lapseAfter {
		s.over(d)
	}
}
