package sqlqueue

import (
	"time"

	"github.com/answerfeed/answerfeed/internal/transport"
)

type op int

const (
	opAck       op = iota // delete it
	opBack                // it comes back after delay
	opRedeliver           // the same, with new metadata
	opDead                // it goes to the dead queue, with new metadata
)

// settlement is what shall happen to a claimed message. Those with done move
// a message whose handler still runs: its place in the window stays taken
// until the acknowledgement that follows.
type settlement struct {
	claim    *claim
	op       op
	delay    time.Duration
	metadata string
	done     chan error
}

// settle hands a settlement to run. It never blocks.
func (c *consumer) settle(s settlement) {
	c.mu.Lock()
	ended := c.ended
	if !ended {
		c.settled = append(c.settled, s)
		c.urgent = c.urgent || s.op != opAck || s.done != nil
	}
	c.mu.Unlock()
	if ended {
		s.refuse()
		return
	}
	select {
	case c.signal <- struct{}{}:
	default:
	}
}

// end refuses what could not be settled, then and from now on: the message
// comes back when its lease ends.
func (c *consumer) end() {
	c.mu.Lock()
	c.ended = true
	left := c.settled
	c.mu.Unlock()
	for _, s := range left {
		s.refuse()
	}
}

func (s settlement) refuse() {
	if s.done != nil {
		s.done <- transport.ErrClosed
	}
}

func (c *consumer) takeSettled() []settlement {
	c.mu.Lock()
	defer c.mu.Unlock()
	s := c.settled
	c.settled, c.urgent = nil, false
	return s
}

func (c *consumer) putBack(s []settlement) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.settled = append(s, c.settled...)
}

// settleAll is what writes the settlements in their order, those of a kind and
// claim batch together; lost[i] will say that the i-th message is no longer
// ours.
func (c *consumer) settleAll(settled []settlement, lost []error) (steps []step) {
	type group struct {
		token int64
		op    op
		delay time.Duration
	}
	groups := map[group][]int64{}
	for i, s := range settled {
		if s.done == nil {
			g := group{s.claim.token, s.op, s.delay}
			groups[g] = append(groups[g], s.claim.id)
			continue
		}
		query := c.redeliver
		if s.op == opDead {
			query = c.dead
		}
		steps = append(steps, step{
			what: "moving a message", query: query, args: []any{s.claim.id, s.claim.token, micros(s.delay), s.metadata},
			affected: func(n int64) {
				if lost[i] = nil; n == 0 {
					lost[i] = transport.ErrClaimLost
				}
			},
		})
	}
	for g, ids := range groups {
		s := step{what: "acknowledging messages", query: c.ack, args: []any{c.t.queries.list(ids), g.token}}
		if g.op == opBack {
			s.what, s.query, s.args = "giving messages back", c.back, append(s.args, micros(g.delay))
		}
		steps = append(steps, s)
	}
	return steps
}

// micros is a delay for the database, whose clock may go by whole milliseconds
// and so be one behind: without one more, the delay could end before its time.
func micros(delay time.Duration) int64 {
	if delay <= 0 {
		return 0
	}
	return delay.Microseconds() + time.Millisecond.Microseconds()
}

// extendLeases prolongs every claim. One that was lost is not found, and its
// acknowledgement will have no effect.
func (c *consumer) extendLeases() (steps []step) {
	tokens := map[int64][]int64{}
	for claim := range c.claims {
		tokens[claim.token] = append(tokens[claim.token], claim.id)
	}
	for token, ids := range tokens {
		steps = append(steps, step{
			what: "extending leases", query: c.extendAll, args: []any{c.t.queries.list(ids), token, c.t.cfg.Lease.Microseconds()},
		})
	}
	return steps
}
