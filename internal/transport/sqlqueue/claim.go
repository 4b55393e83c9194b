package sqlqueue

import (
	"context"
	stdsql "database/sql"
	"errors"
	"fmt"
	"math/rand/v2"
	"time"

	"github.com/ThreeDotsLabs/watermill/message"

	"github.com/answerfeed/answerfeed/internal/memory"
	"github.com/answerfeed/answerfeed/internal/transport"
	"github.com/answerfeed/answerfeed/internal/transport/inflight"
)

// claim is one message that the consumer has claimed.
type claim struct {
	consumer  *consumer
	id, token int64
	cost      int64 // of memory, in bytes
}

// row is a message as it was claimed.
type row struct {
	claim          *claim
	deliveries     int
	uuid, metadata string
	payload        []byte
}

// peek asks, without the write lock, when the next message is due.
func (c *consumer) peek(ctx context.Context) error {
	next, err := c.next(ctx)
	if err != nil {
		return fmt.Errorf("looking for messages: %w", err)
	}
	due := next <= 0
	c.more = due
	if due {
		next = look.Microseconds()
	}
	c.lookAt = time.Now().Add(time.Duration(min(next, look.Microseconds())) * time.Microsecond)
	return nil
}

// next is in how many microseconds the next message is due, if that is soon,
// and puts what it takes of the memory into head.
func (c *consumer) next(ctx context.Context) (int64, error) {
	next := look.Microseconds()
	if l := c.t.lookout; l != nil {
		heads, err := l.heads(ctx, []*consumer{c}, false)
		if err == nil && heads[0] != nil {
			next, c.head = 0, heads[0].size
		}
		return next, err
	}
	err := c.t.db.Read().QueryRowContext(ctx, c.t.queries.next, c.cfg.Name()).Scan(&next, &c.head)
	if errors.Is(err, stdsql.ErrNoRows) {
		err = nil
	}
	return next, err
}

// batch is what one transaction has claimed. On PostgreSQL it also tells how
// far it got, by the clock of the database.
type batch struct {
	rows []row
	from *position
	last position
	now  int64
}

// claimRows is what claims messages, into b.
func (c *consumer) claimRows(b *batch, want int, limit int64) step {
	token := rand.Int64() | 1 // never 0, which is «not claimed»
	s := step{what: "claiming messages", query: c.claim, args: []any{c.cfg.Name(), want, limit, c.t.cfg.Lease.Microseconds(), token}}
	if c.cfg.AtMostOnce {
		s.query, s.args = c.take, s.args[:3]
	}
	marks := c.t.queries.marks()
	if marks {
		b.from = c.mark.from()
		b.last = *b.from
		s.args = append(s.args, b.from.due, b.from.id)
	}
	b.rows = make([]row, 0, want)
	s.row = func(scan func(...any) error) error {
		r := row{claim: &claim{consumer: c, token: token}}
		into := []any{&r.claim.id, &r.deliveries, &r.uuid, &r.metadata, &r.payload}
		var at position // of which the id is the message's
		if marks {
			into = append(into, &at.due, &b.now)
		}
		if err := scan(into...); err != nil {
			return err
		}
		if at.id = r.claim.id; b.last.before(at) {
			b.last = at
		}
		r.claim.cost = memory.Cost(int64(len(r.payload)))
		b.rows = append(b.rows, r)
		return nil
	}
	return s
}

// deliver puts a claimed message into the window.
func (c *consumer) deliver(r row) {
	m := message.NewMessage(r.uuid, r.payload)
	m.Metadata = decodeMetadata(r.metadata)
	ctx := transport.WithDelivery(c.intake, transport.Delivery{Returns: r.deliveries - 1, Claim: r.claim})
	c.claims[r.claim] = struct{}{}
	c.window.Pass(ctx, m, func(o inflight.Outcome) {
		s := settlement{claim: r.claim, op: opAck}
		switch o {
		case inflight.Nacked:
			s.op, s.delay = opBack, c.t.cfg.NackPause
		case inflight.Returned:
			s.op = opBack
		}
		c.settle(s)
	})
}
