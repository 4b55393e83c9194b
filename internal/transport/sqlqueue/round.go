package sqlqueue

import (
	"context"
	"fmt"
	"slices"
	"sync/atomic"
	"time"

	"github.com/answerfeed/answerfeed/app/database"
)

// round is one transaction of the consumer. After an error nothing has
// changed, and the settlements are there for the next round. When ctx ends
// the round stops waiting for the database; what it has begun it may finish
// within finishWithin.
func (c *consumer) round(ctx context.Context, intake bool) error {
	want, limit := 0, int64(0)
	if intake && c.room() {
		if !c.more && !time.Now().Before(c.lookAt) {
			if err := c.peek(ctx); err != nil {
				return err
			}
		}
		if c.more {
			want, limit = c.reserve()
		}
	}
	settled := c.takeSettled()
	c.ackBy = time.Time{}
	write, extend := len(settled) > 0, c.leased() && !time.Now().Before(c.extend)
	if c.cfg.AtMostOnce { // what was taken has no row any more
		write = false
	}
	if want == 0 && !extend && !write {
		c.release(settled, nil)
		return nil
	}
	var steps []step
	lost := make([]error, len(settled))
	if write {
		steps = append(steps, c.settleAll(settled, lost)...)
	}
	if extend {
		steps = append(steps, c.extendLeases()...)
	}
	var claimed batch
	if want > 0 {
		steps = append(steps, c.claimRows(&claimed, want, limit))
	}
	durability := database.Relaxed // what is lost to a power cut comes again
	if c.cfg.AtMostOnce || c.postgres() && slices.ContainsFunc(settled, settlement.moves) {
		durability = database.Durable // here it must not
	}
	waiting, begun, done := patient(ctx)
	defer done()
	err := c.execute(waiting, durability, begun, steps)
	c.keep(limit, claimed.rows, err)
	if err != nil {
		c.putBack(settled)
		if ctx.Err() != nil {
			return fmt.Errorf("waiting for the database: %w", ctx.Err())
		}
		return err
	}
	if extend {
		c.extend = time.Now().Add(c.t.cfg.Lease / 3)
	}
	c.release(settled, lost)
	for _, r := range claimed.rows {
		c.deliver(r)
	}
	if want > 0 { // fewer than wanted: look what is next, and when
		c.more, c.lookAt = len(claimed.rows) == want, time.Time{}
		c.head, c.missed = 0, len(claimed.rows) == 0
		if claimed.from != nil { // on PostgreSQL, lookout tells of it
			c.lookAt = time.Now().Add(look)
			if !c.missed {
				c.mark.advance(claimed.from, claimed.last, claimed.now)
			}
		}
	}
	return nil
}

// postgres tells that the database is a server, which may crash while the
// worker lives on.
func (c *consumer) postgres() bool { return c.t.db.Driver() == database.Postgres }

// moves tells of a settlement that an acknowledgement follows: if a crash of
// the server took the move back, that would delete the message.
func (s settlement) moves() bool { return s.done != nil }

// patient returns a context that ends with ctx, or, once what it is for has
// begun, finishWithin later.
func patient(ctx context.Context) (waiting context.Context, begun, done func()) {
	waiting, cancel := context.WithCancel(context.WithoutCancel(ctx))
	var under atomic.Bool
	unbind := context.AfterFunc(ctx, func() {
		if under.Load() {
			time.AfterFunc(finishWithin, cancel)
		} else {
			cancel()
		}
	})
	return waiting, func() { under.Store(true) }, func() { unbind(); cancel() }
}

// release tells those who wait for their settlement, frees the places of
// messages that left, and tells the process's consumers, this one included,
// of messages that will come again.
func (c *consumer) release(settled []settlement, lost []error) {
	again := false
	for i, s := range settled {
		again = again || s.op != opAck
		if s.done != nil {
			s.done <- lost[i]
			continue
		}
		delete(c.claims, s.claim)
		c.memory.Give(s.claim.cost)
		if c.tight {
			c.loosen()
		}
	}
	if again {
		c.t.db.Notify()
	}
}
