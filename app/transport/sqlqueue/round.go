package sqlqueue

import (
	"context"
	stdsql "database/sql"
	"errors"
	"fmt"
	"math/rand/v2"
	"strconv"
	"strings"
	"time"

	"github.com/answerfeed/answerfeed/app/database"
	"github.com/answerfeed/answerfeed/app/transport"
	"github.com/answerfeed/answerfeed/app/transport/window"
)

// statements are prepared once a consumer: SQLite parses at each use else.
type statements struct {
	claim, take, ack, back, extendAll, redeliver, dead *stdsql.Stmt
	all                                                *database.Statements
}

func prepare(db *database.DB, q queries) (statements, error) {
	all := db.ToWrite()
	s := statements{
		claim: all.One(q.claim), take: all.One(q.take), ack: all.One(q.ack), back: all.One(q.back),
		extendAll: all.One(q.extend), redeliver: all.One(q.redeliver), dead: all.One(q.dead), all: all,
	}
	if err := all.Err(); err != nil {
		all.Close()
		return statements{}, err
	}
	return s, nil
}

// row is a message as it was claimed.
type row struct {
	claim          *claim
	deliveries     int
	uuid, metadata string
	payload        []byte
}

// round is one transaction of the consumer. After an error nothing has
// changed, and the settlements are there for the next round. When ctx ends
// the round stops waiting for the database; what it has begun it finishes.
func (c *consumer) round(ctx context.Context, intake bool) error {
	want, limit := 0, int64(0)
	if intake && c.room() {
		if !c.more && !time.Now().Before(c.lookAt) {
			if err := c.peek(ctx); err != nil {
				return err
			}
		}
		if c.more {
			want, limit = min(c.cfg.Window-len(c.claims), claimBatch), window.MaxBytes-c.bytes
			if c.head > window.MaxBytes { // the only one in flight; see peek
				want, limit = 1, c.head
			}
		}
	}
	settled := c.takeSettled()
	write, extend := len(settled) > 0, c.leased() && !time.Now().Before(c.extend)
	if c.cfg.AtMostOnce { // what was taken has no row any more
		write = false
	}
	if want == 0 && !extend && !write {
		c.release(settled, nil)
		return nil
	}
	lost := make([]error, len(settled))
	var rows []row
	durability := database.Relaxed // what is lost to a power cut comes again
	if c.cfg.AtMostOnce {
		durability = database.Durable // here it must not
	}
	waiting, cancel := context.WithCancel(context.WithoutCancel(ctx))
	defer cancel()
	unbind := context.AfterFunc(ctx, cancel)
	defer unbind()
	err := c.t.db.Update(waiting, durability, func(ctx context.Context, tx *stdsql.Tx) (err error) {
		unbind()
		if write {
			if err := c.settleAll(ctx, tx, settled, lost); err != nil {
				return fmt.Errorf("settling %d messages: %w", len(settled), err)
			}
		}
		if extend {
			if err := c.extendLeases(ctx, tx); err != nil {
				return fmt.Errorf("extending leases: %w", err)
			}
		}
		if want > 0 {
			if rows, err = c.claimRows(ctx, tx, want, limit); err != nil {
				return fmt.Errorf("claiming messages: %w", err)
			}
		}
		return nil
	})
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
	for _, r := range rows {
		c.deliver(r)
	}
	if want > 0 { // fewer than wanted: look what is next, and when
		c.more, c.lookAt = len(rows) == want, time.Time{}
		c.head = 0
	}
	return nil
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
		c.bytes -= s.claim.size
		if c.tight {
			c.tight, c.lookAt = false, time.Time{}
		}
	}
	if again {
		c.t.db.Notify()
	}
}

// peek asks, without the write lock, when the next message is due, and
// whether it fits.
func (c *consumer) peek(ctx context.Context) error {
	next := look.Microseconds()
	err := c.t.db.Read().QueryRowContext(ctx, c.t.queries.next, c.queue).Scan(&next, &c.head)
	if err != nil && !errors.Is(err, stdsql.ErrNoRows) {
		return fmt.Errorf("looking for messages: %w", err)
	}
	due := next <= 0
	c.tight = due && len(c.claims) > 0 && c.bytes+c.head > window.MaxBytes
	c.more = due && !c.tight
	if due {
		next = look.Microseconds()
	}
	c.lookAt = time.Now().Add(time.Duration(min(next, look.Microseconds())) * time.Microsecond)
	return nil
}

func (c *consumer) takeSettled() []settlement {
	c.mu.Lock()
	defer c.mu.Unlock()
	s := c.settled
	c.settled = nil
	return s
}

func (c *consumer) putBack(s []settlement) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.settled = append(s, c.settled...)
}

// settleAll writes the settlements in their order, those of a kind and claim
// batch together; lost[i] says that the i-th message is no longer ours.
func (c *consumer) settleAll(ctx context.Context, tx *stdsql.Tx, settled []settlement, lost []error) error {
	type group struct {
		token int64
		op    op
		delay time.Duration
	}
	groups := map[group]*idList{}
	for i, s := range settled {
		if s.done == nil {
			g := group{s.claim.token, s.op, s.delay}
			if groups[g] == nil {
				groups[g] = &idList{}
			}
			groups[g].add(s.claim.id)
			continue
		}
		stmt := c.redeliver
		if s.op == opDead {
			stmt = c.dead
		}
		result, err := tx.StmtContext(ctx, stmt).ExecContext(ctx, s.claim.id, s.claim.token, micros(s.delay), s.metadata)
		if err != nil {
			return err
		}
		if n, err := result.RowsAffected(); err != nil || n == 0 {
			lost[i] = errors.Join(transport.ErrClaimLost, err)
		}
	}
	for g, ids := range groups {
		args := []any{ids.json(), g.token}
		stmt := c.ack
		if g.op == opBack {
			stmt, args = c.back, append(args, micros(g.delay))
		}
		if _, err := tx.StmtContext(ctx, stmt).ExecContext(ctx, args...); err != nil {
			return err
		}
	}
	return nil
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
func (c *consumer) extendLeases(ctx context.Context, tx *stdsql.Tx) error {
	tokens := map[int64]*idList{}
	for claim := range c.claims {
		if tokens[claim.token] == nil {
			tokens[claim.token] = &idList{}
		}
		tokens[claim.token].add(claim.id)
	}
	for token, ids := range tokens {
		if _, err := tx.StmtContext(ctx, c.extendAll).ExecContext(ctx, ids.json(), token, c.t.cfg.Lease.Microseconds()); err != nil {
			return err
		}
	}
	return nil
}

func (c *consumer) claimRows(ctx context.Context, tx *stdsql.Tx, want int, limit int64) ([]row, error) {
	token := rand.Int64() | 1 // never 0, which is «not claimed»
	stmt, args := c.claim, []any{c.queue, want, limit, c.t.cfg.Lease.Microseconds(), token}
	if c.cfg.AtMostOnce {
		stmt, args = c.take, args[:3]
	}
	result, err := tx.StmtContext(ctx, stmt).QueryContext(ctx, args...)
	if err != nil {
		return nil, err
	}
	defer result.Close()
	rows := make([]row, 0, want)
	for result.Next() {
		r := row{claim: &claim{consumer: c, token: token}}
		if err := result.Scan(&r.claim.id, &r.deliveries, &r.uuid, &r.metadata, &r.payload); err != nil {
			return nil, err
		}
		r.claim.size = int64(len(r.payload))
		rows = append(rows, r)
	}
	return rows, result.Err()
}

// idList writes ids as a JSON array, the form in which a list is one
// parameter.
type idList struct{ b strings.Builder }

func (l *idList) add(id int64) {
	sep := byte(',')
	if l.b.Len() == 0 {
		sep = '['
	}
	l.b.WriteByte(sep)
	l.b.WriteString(strconv.FormatInt(id, 10))
}

func (l *idList) json() string { return l.b.String() + "]" }
