package middleware

import (
	"context"
	"math/rand/v2"
	"sync"
	"time"

	"github.com/answerfeed/answerfeed/internal/suspect"
)

const (
	// groupDelay is how long returned messages are gathered into one group.
	groupDelay = 100 * time.Millisecond
	// lookEvery is how often waiting messages look for changes that another
	// process made.
	lookEvery = time.Second
	// roundWithin bounds the database calls of one round.
	roundWithin = 5 * time.Second
	// boldAfter is how long a message waits until it is certain that another
	// process with the message has died or lives: a death is noticed within 12 s.
	boldAfter = 20 * time.Second
	// tellEvery is the least time between log lines of one kind about one queue.
	tellEvery = time.Second
)

// groupQueue holds the returned messages of one queue until their group begins.
// It has no goroutine: one of the waiting messages leads, and makes the rounds
// for all of them.
type groupQueue struct {
	*Settings
	lead chan struct{} // holds a token while no message leads
	wake chan struct{}

	mu      sync.Mutex
	waiting map[*returnedMessage]struct{}
	fresh   bool      // a message arrived since the last round
	busy    bool      // a suspected range is being handled
	round   time.Time // when the last round was made
	failing bool
	told    map[string]*logLimiter
}

// returnedMessage is a message that the broker delivered again, and that waits for
// its group.
type returnedMessage struct {
	member  suspect.Member
	arrived time.Time
	decided chan decision // receives exactly one
}

// decision says how a returned message is handled; one field is set.
type decision struct {
	group  *inGroup       // in this group, whose isolation it has entered
	alone  *suspect.Group // alone in the process
	guilty bool           // not at all: the worker died of it five times
}

func newGuard(s *Settings) *groupQueue {
	g := &groupQueue{
		Settings: s, lead: make(chan struct{}, 1), wake: make(chan struct{}, 1), waiting: map[*returnedMessage]struct{}{},
		told: map[string]*logLimiter{groupCompany: {}, groupSuspected: {}, groupAlone: {}},
	}
	if s.Isolation == nil {
		s.Isolation = &Isolation{}
	}
	g.lead <- struct{}{}
	return g
}

// wait returns the decision, or false when ctx ends or the worker stops first. A
// fresh message makes the next round come soon; one that has waited before does
// not.
func (g *groupQueue) wait(ctx context.Context, c *returnedMessage, fresh bool) (decision, bool) {
	g.mu.Lock()
	g.waiting[c] = struct{}{}
	g.fresh = g.fresh || fresh
	g.mu.Unlock()
	waiting := g.Metrics.suspects.WithLabelValues(g.Handler, g.Topic)
	waiting.Inc()
	defer waiting.Dec()
	for {
		select {
		case d := <-c.decided:
			return d, true
		default:
		}
		select {
		case d := <-c.decided:
			return d, true
		case <-g.lead:
			if g.due(ctx) {
				g.decide(ctx)
			}
			g.lead <- struct{}{}
		case <-g.Stopping:
			return g.withdraw(c)
		case <-ctx.Done():
			return g.withdraw(c)
		}
	}
}

// withdraw removes a waiting message, or returns the decision if one was made
// already.
func (g *groupQueue) withdraw(c *returnedMessage) (decision, bool) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if _, waits := g.waiting[c]; waits {
		delete(g.waiting, c)
		return decision{}, false
	}
	return <-c.decided, true
}

// due waits for groupDelay and reports whether a round must be made now.
func (g *groupQueue) due(ctx context.Context) bool {
	gather := time.NewTimer(groupDelay)
	defer gather.Stop()
	select {
	case <-g.wake:
		return true
	case <-gather.C:
	case <-g.Stopping:
		return false
	case <-ctx.Done():
		return false
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.fresh && !g.failing || time.Since(g.round) >= lookEvery
}

// decide makes one round: it begins groups and notifies their members.
func (g *groupQueue) decide(ctx context.Context) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), roundWithin)
	defer cancel()
	now := time.Now()
	g.mu.Lock()
	g.fresh, g.round = false, now
	busy := g.busy
	var all []*returnedMessage
	var members []suspect.Member
	for c := range g.waiting {
		c.member.Bold = now.Sub(c.arrived) >= boldAfter
		all, members = append(all, c), append(members, c.member)
	}
	g.mu.Unlock()
	queue := g.queue()
	groups, err := g.Suspects.Standing(ctx, queue)
	if err != nil {
		g.report(err)
		return
	}
	plan := suspect.Make(groups, members, busy, rand.IntN)
	for _, i := range plan.Guilty {
		g.tell(all[i], decision{guilty: true})
	}
	if plan.Range != nil && plan.Alone {
		g.setBusy(true)
		if !g.tell(all[plan.Members[0]], decision{alone: plan.Range}) {
			g.setBusy(false)
		}
	} else if plan.Range != nil {
		err = g.beginGroup(ctx, *plan.Range, all, plan.Members)
	}
	if len(plan.Free) > 0 && err == nil {
		free := make([]suspect.Member, 0, len(plan.Free))
		for _, i := range plan.Free {
			free = append(free, members[i])
		}
		err = g.beginGroup(ctx, suspect.Around(queue, free), all, plan.Free)
	}
	g.report(err)
}

// beginGroup begins a group and notifies its members. It does nothing while a
// message is handled alone.
func (g *groupQueue) beginGroup(ctx context.Context, group suspect.Group, all []*returnedMessage, members []int) error {
	if gate := g.Isolation.tryEnter(len(members)); gate != nil {
		return nil // they wait for the next round
	}
	id, begun, err := g.Suspects.Begin(ctx, group)
	if err != nil || !begun {
		g.Isolation.leave(len(members))
		return err
	}
	in := &inGroup{id: id, suspect: group.Suspect}
	in.members.Store(int64(len(members)))
	kind := groupCompany
	if group.Suspect {
		kind = groupSuspected
		g.setBusy(true)
	}
	g.Metrics.group(g.Settings, kind)
	if n, now := g.told[kind].add(len(members)); now {
		g.logGroup(kind, n)
	}
	for _, i := range members {
		if !g.tell(all[i], decision{group: in}) {
			g.memberDone(ctx, in, true)
		}
	}
	return nil
}

func (g *groupQueue) logGroup(kind string, messages int) {
	if kind == groupSuspected {
		g.Logger.Warn("a worker died while it handled these messages; they are handled apart from others", "handler", g.Handler, "topic", g.Topic, "messages", messages)
		return
	}
	g.Logger.Info("redelivered messages are handled as a group", "handler", g.Handler, "topic", g.Topic, "messages", messages)
}

// tell gives a decision to a waiting message. It returns false if the message has
// withdrawn.
func (g *groupQueue) tell(c *returnedMessage, d decision) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	if _, waits := g.waiting[c]; !waits {
		return false
	}
	delete(g.waiting, c)
	c.decided <- d
	return true
}

func (g *groupQueue) setBusy(busy bool) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.busy = busy
}

// suspectDone makes the next suspected range begin without delay.
func (g *groupQueue) suspectDone() {
	g.setBusy(false)
	select {
	case g.wake <- struct{}{}:
	default:
	}
}

// report logs once when group records cannot be written, and once when they can
// be written again.
func (g *groupQueue) report(err error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if failing := err != nil; failing != g.failing {
		g.failing = failing
		if failing {
			g.Logger.Error("redelivered messages wait, because the record of their group cannot be written; trying again", "handler", g.Handler, "topic", g.Topic, "error", err)
		} else {
			g.Logger.Info("records of groups can be written again; redelivered messages continue", "handler", g.Handler, "topic", g.Topic)
		}
	}
}

// logLimiter limits log lines to one each tellEvery. A line's count includes the
// messages whose lines were left out.
type logLimiter struct {
	mu   sync.Mutex
	last time.Time
	n    int
}

func (p *logLimiter) add(n int) (untold int, now bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.n += n
	if time.Since(p.last) < tellEvery {
		return 0, false
	}
	untold, p.n, p.last = p.n, 0, time.Now()
	return untold, true
}
