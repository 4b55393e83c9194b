package rabbit

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"sync/atomic"
	"time"

	amqp "github.com/rabbitmq/amqp091-go"

	"github.com/answerfeed/answerfeed/app/transport"
	"github.com/answerfeed/answerfeed/app/transport/window"
)

// maxPrefetch is the most that AMQP can express.
const maxPrefetch = 65535

func (c *consumer) prefetch() int { return min(c.cfg.Window, maxPrefetch) }

// session is one channel's life with its deliveries. Its tags mean nothing on
// the next channel: what it leaves unsettled, the broker delivers again.
type session struct {
	conn        *amqp.Connection
	ch          *amqp.Channel
	breakOff    func() // ends its connection by force, once the consumer is closing
	consumerTag string
	deliveries  <-chan amqp.Delivery
	broken      <-chan *amqp.Error
	cancels     <-chan string // by the broker; closed with the channel
	cancelled   bool          // one came
	reason      *amqp.Error   // of the channel's end, once it was told
	begun       time.Time
	tags        tags
	held        *amqp.Delivery // did not fit into the window's bytes
	batch       []arrival      // of take, kept for the next
	nacks       []nack         // to be given back, each at its time
	paused      bool           // it consumes no more, and settles what is in flight
	over        atomic.Bool
}

// arrival is a delivery that goes into the window.
type arrival struct {
	amqp.Delivery
	claim *claim
}

type nack struct {
	tag uint64
	due time.Time
}

// consumerTags makes the tags of one process unique.
type consumerTags struct{ last atomic.Int64 }

func (t *consumerTags) next(name string) string {
	return name + " " + strconv.FormatInt(t.last.Add(1), 10)
}

// open starts a session. A queue that was deleted underfoot is declared again.
func (c *consumer) open(ctx context.Context) (*session, error) {
	s, err := c.begin(ctx)
	if code(err) != amqp.NotFound {
		return s, err
	}
	ours := c.t.known(func(s transport.Subscription) bool { return s.Queue() == c.cfg.Queue() })
	if len(ours) == 0 {
		return nil, fmt.Errorf("%w: %w", transport.ErrNoQueue, err)
	}
	if err := c.t.declareAgain(ctx, ours); err != nil {
		return nil, err
	}
	return c.begin(ctx)
}

func (c *consumer) begin(ctx context.Context) (*session, error) {
	waiting, cancel := context.WithTimeout(ctx, maxReopenPause)
	defer cancel()
	conn, err := c.t.consuming.get(waiting)
	if err != nil {
		return nil, fmt.Errorf("waiting for the broker: %w", err)
	}
	return within(ctx, func() (*session, error) { return c.beginOn(conn) }, (*session).close)
}

func (c *consumer) beginOn(conn *amqp.Connection) (*session, error) {
	ch, err := conn.Channel()
	if err != nil {
		return nil, fmt.Errorf("opening a channel: %w", err)
	}
	s := &session{
		conn: conn, ch: ch, consumerTag: c.t.tags.next(c.t.cfg.Name), begun: time.Now(),
		broken:  ch.NotifyClose(make(chan *amqp.Error, 1)),
		cancels: ch.NotifyCancel(make(chan string, 1)),
	}
	s.breakOff = func() {
		if c.intake.Err() != nil { // else the heartbeat decides
			c.t.consuming.breakOff(conn)
		}
	}
	err = ch.Qos(c.prefetch(), 0, false)
	if err == nil {
		s.deliveries, err = ch.Consume(c.queue, s.consumerTag, false, false, false, false, nil)
	}
	if err != nil {
		s.close()
		return nil, fmt.Errorf("consuming %s: %w", c.queue, explainDeclare(err))
	}
	return s, nil
}

// close gives up the channel; the broker gives what is unsettled to others.
func (s *session) close() {
	s.over.Store(true)
	force := time.AfterFunc(hangUpWithin, s.breakOff)
	defer force.Stop()
	_ = s.ch.Close() // it may be closed already
}

// take puts a delivery, and what else has arrived, into the window, as far as
// there is room. It returns false when the session broke.
func (c *consumer) take(ctx context.Context, s *session, d amqp.Delivery) bool {
	batch, bytes := s.batch[:0], c.bytes
	for more := true; more; d, more = s.arrived() {
		if c.inWork+len(batch) > 0 && bytes+int64(len(d.Body)) > window.MaxBytes {
			held := d
			s.held = &held
			break
		}
		batch = append(batch, arrival{d, newClaim(c, s, d)})
		bytes += int64(len(d.Body))
		if c.inWork+len(batch) == c.cfg.Window {
			break
		}
	}
	s.batch = batch
	defer clear(batch) // of what holds memory
	if len(batch) == 0 {
		return true
	}
	for _, d := range batch {
		s.tags.deliver(d.DeliveryTag, d.claim)
	}
	if c.cfg.AtMostOnce && !s.takeOff(batch[len(batch)-1].DeliveryTag, c.prefetch()) {
		return false
	}
	for _, d := range batch {
		c.pass(ctx, d)
	}
	return true
}

// arrived is a delivery that is there already; false when there is none, or
// when the session broke, which serve finds out.
func (s *session) arrived() (amqp.Delivery, bool) {
	select {
	case d, open := <-s.deliveries:
		return d, open && d.Acknowledger != nil
	default:
		return amqp.Delivery{}, false
	}
}

// takeOff acknowledges everything up to the tag before it is handled, and
// waits until the broker has taken note: it answers a channel's requests in
// their order, and Qos is one.
func (s *session) takeOff(tag uint64, prefetch int) bool {
	if s.ch.Ack(tag, true) != nil || s.ch.Qos(prefetch, 0, false) != nil {
		return false
	}
	s.tags.settleUpTo(tag)
	return true
}

func (c *consumer) pass(ctx context.Context, d arrival) {
	m, err := (Marshaler{}).Unmarshal(d.Delivery)
	if err != nil { // a ghost; take has sorted them out
		return
	}
	cl := d.claim
	c.book(1, cl.size)
	c.figures.Lock()
	c.newest = d.Timestamp
	c.figures.Unlock()
	if d.Redelivered && !c.cfg.AtMostOnce && c.join(cl) {
		return
	}
	ctx = transport.WithDelivery(ctx, transport.Delivery{Returns: returns(d.Delivery) + transport.Count(m, transport.KeyReturns), Claim: cl})
	c.window.Pass(ctx, m, func(o window.Outcome) { c.end(cl, o) })
}

// settle tells the broker what ended: many at once up to the end of the
// settled prefix, singly what finished at least wait ago beyond it, and the
// nacks that are due. next is when to call it again, 0 when there is nothing
// to wait for; ok is false when the session broke.
func (s *session) settle(now time.Time, wait time.Duration) (next time.Duration, ok bool) {
	later := func(at time.Time) {
		if d := max(at.Sub(now), gather); next == 0 || d < next {
			next = d
		}
	}
	due := slices.DeleteFunc(slices.Clone(s.nacks), func(n nack) bool { return n.due.After(now) })
	s.nacks = slices.DeleteFunc(s.nacks, func(n nack) bool { return !n.due.After(now) })
	for _, n := range due {
		if s.ch.Nack(n.tag, false, true) != nil {
			return 0, false
		}
		s.tags.settle(n.tag)
	}
	for _, n := range s.nacks {
		later(n.due)
	}
	if tag := s.tags.prefix(); tag > 0 {
		if s.ch.Ack(tag, true) != nil {
			return 0, false
		}
		s.tags.settleUpTo(tag)
	}
	singles, rest := s.tags.beyond(now.Add(-wait))
	for _, tag := range singles {
		if s.ch.Ack(tag, false) != nil {
			return 0, false
		}
		s.tags.settle(tag)
	}
	if !rest.IsZero() {
		later(rest.Add(wait))
	}
	return next, true
}

// dropPauses makes every held nack due.
func (s *session) dropPauses() {
	for i := range s.nacks {
		s.nacks[i].due = time.Time{}
	}
}

// giveBackUnread ends the consumer and gives back, at once, what the broker
// sent and nobody took.
func (s *session) giveBackUnread() {
	// A broker that is not heard of must not hold up the end.
	force := time.AfterFunc(hangUpWithin, s.breakOff)
	defer force.Stop()
	if s.ch.Cancel(s.consumerTag, false) != nil {
		return
	}
	if held := s.held; held != nil {
		s.held = nil
		if !s.giveBack(*held) {
			return
		}
	}
	for d := range s.deliveries { // closed by Cancel, once it is empty
		if d.Acknowledger != nil && !s.giveBack(d) {
			return
		}
	}
}

func (s *session) giveBack(d amqp.Delivery) bool {
	s.tags.deliver(d.DeliveryTag, nil)
	if s.ch.Nack(d.DeliveryTag, false, true) != nil {
		return false
	}
	s.tags.settle(d.DeliveryTag)
	return true
}
