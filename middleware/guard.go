package middleware

import (
	"context"
	"math/rand/v2"
	"sync"
	"time"

	"github.com/answerfeed/answerfeed/internal/suspect"
)

const (
	// company is how long those that come back are gathered.
	company = 100 * time.Millisecond
	// lookEvery is how often those that wait look for a change by another
	// process.
	lookEvery = time.Second
	// roundWithin bounds what one round asks of the database.
	roundWithin = 5 * time.Second
	// boldAfter is how long a message waits for news of a process that may
	// have died with it: such news comes within 12 s.
	boldAfter = 20 * time.Second
	// tellEvery bounds the log lines of one kind about one queue.
	tellEvery = time.Second
)

// guard is where what came back to one queue waits. It has no goroutine of its
// own: one of those that wait leads, and makes the rounds for all.
type guard struct {
	*Settings
	lead chan struct{} // holds a token while nobody leads
	wake chan struct{}

	mu      sync.Mutex
	waiting map[*comeback]struct{}
	fresh   bool      // somebody came since the last round
	busy    bool      // a suspected range is handled
	round   time.Time // of the last
	failing bool
	told    map[string]*pace
}

// comeback is a message that came back and waits.
type comeback struct {
	member  suspect.Member
	arrived time.Time
	decided chan decision // one
}

// decision is one of the three.
type decision struct {
	group  *inGroup       // it is handled in this group, and has entered
	alone  *suspect.Group // it may be handled alone
	guilty bool
}

func newGuard(s *Settings) *guard {
	g := &guard{
		Settings: s, lead: make(chan struct{}, 1), wake: make(chan struct{}, 1), waiting: map[*comeback]struct{}{},
		told: map[string]*pace{groupCompany: {}, groupSuspected: {}, groupAlone: {}},
	}
	if s.Isolation == nil {
		s.Isolation = &Isolation{}
	}
	g.lead <- struct{}{}
	return g
}

// wait returns what was decided; false when ctx ends or the worker stops first.
// What is fresh is gathered with others; what has waited before has time.
func (g *guard) wait(ctx context.Context, c *comeback, fresh bool) (decision, bool) {
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
			return g.stepOut(c)
		case <-ctx.Done():
			return g.stepOut(c)
		}
	}
}

// stepOut returns the decision that was made meanwhile, if there is one.
func (g *guard) stepOut(c *comeback) (decision, bool) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if _, waits := g.waiting[c]; waits {
		delete(g.waiting, c)
		return decision{}, false
	}
	return <-c.decided, true
}

// due waits a little and reports that it is time for a round.
func (g *guard) due(ctx context.Context) bool {
	gather := time.NewTimer(company)
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

// decide makes one round: it begins groups and tells their members.
func (g *guard) decide(ctx context.Context) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), roundWithin)
	defer cancel()
	now := time.Now()
	g.mu.Lock()
	g.fresh, g.round = false, now
	busy := g.busy
	var all []*comeback
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
		err = g.begin(ctx, *plan.Range, all, plan.Members)
	}
	if len(plan.Free) > 0 && err == nil {
		free := make([]suspect.Member, 0, len(plan.Free))
		for _, i := range plan.Free {
			free = append(free, members[i])
		}
		err = g.begin(ctx, suspect.Around(queue, free), all, plan.Free)
	}
	g.report(err)
}

// begin begins a group, unless a message is alone now, and tells its members.
func (g *guard) begin(ctx context.Context, group suspect.Group, all []*comeback, members []int) error {
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
		g.tellOf(kind, n)
	}
	for _, i := range members {
		if !g.tell(all[i], decision{group: in}) {
			g.ended(ctx, in, true)
		}
	}
	return nil
}

func (g *guard) tellOf(kind string, messages int) {
	if kind == groupSuspected {
		g.Logger.Warn("messages in whose company a worker died are handled apart from others", "handler", g.Handler, "topic", g.Topic, "messages", messages)
		return
	}
	g.Logger.Info("messages came back and are handled together", "handler", g.Handler, "topic", g.Topic, "messages", messages)
}

// tell gives a decision to one that waits; false: it has stepped out.
func (g *guard) tell(c *comeback, d decision) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	if _, waits := g.waiting[c]; !waits {
		return false
	}
	delete(g.waiting, c)
	c.decided <- d
	return true
}

func (g *guard) setBusy(busy bool) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.busy = busy
}

// next begins the next suspected range at once.
func (g *guard) next() {
	g.setBusy(false)
	select {
	case g.wake <- struct{}{}:
	default:
	}
}

// report logs that groups cannot be kept, or can again: once a change.
func (g *guard) report(err error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if failing := err != nil; failing != g.failing {
		g.failing = failing
		if failing {
			g.Logger.Error("messages that came back wait, since their groups cannot be written; trying again", "handler", g.Handler, "topic", g.Topic, "error", err)
		} else {
			g.Logger.Info("groups of messages that came back are written again", "handler", g.Handler, "topic", g.Topic)
		}
	}
}

// pace bounds log lines: the next line counts what was not told.
type pace struct {
	mu   sync.Mutex
	last time.Time
	n    int
}

func (p *pace) add(n int) (untold int, now bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.n += n
	if time.Since(p.last) < tellEvery {
		return 0, false
	}
	untold, p.n, p.last = p.n, 0, time.Now()
	return untold, true
}
