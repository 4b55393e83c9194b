package rabbit

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"sync/atomic"
	"time"

	amqp "github.com/rabbitmq/amqp091-go"

	"github.com/answerfeed/answerfeed/internal/transport"
	"github.com/answerfeed/answerfeed/internal/transport/inflight"
)

// maxPrefetch is the most that AMQP can express.
const maxPrefetch = 65535

// openWithin bounds the wait for a broker's answers when a session begins.
const openWithin = 10 * time.Second

func (c *consumer) prefetch() int { return min(c.cfg.Window, maxPrefetch, c.narrowed) }

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
	prefetch    int
	unread      []amqp.Delivery // for which the window has no room yet
	batch       []arrival       // of take, kept for the next
	nacks       []nack          // to be given back, each at its time
	paused      bool            // it consumes no more, and settles what is in flight
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
	// A cluster that elects a queue's leader may lose the request, and then
	// never answers it.
	opening, stop := context.WithTimeout(ctx, openWithin)
	defer stop()
	return within(opening, func() (*session, error) { return c.beginOn(conn) }, (*session).close)
}

func (c *consumer) beginOn(conn *amqp.Connection) (*session, error) {
	ch, err := conn.Channel()
	if err != nil {
		return nil, fmt.Errorf("opening a channel: %w", err)
	}
	s := &session{
		conn: conn, ch: ch, begun: time.Now(),
		broken:  ch.NotifyClose(make(chan *amqp.Error, 1)),
		cancels: ch.NotifyCancel(make(chan string, 1)),
	}
	s.breakOff = func() {
		if c.intake.Err() != nil { // else the heartbeat decides
			c.t.consuming.breakOff(conn)
		}
	}
	if err := c.consume(s); err != nil {
		s.close()
		return nil, err
	}
	return s, nil
}

// consume begins to consume on the session's channel.
func (c *consumer) consume(s *session) (err error) {
	s.prefetch, s.consumerTag = c.prefetch(), c.t.tags.next(c.t.cfg.Name)
	if err = s.ch.Qos(s.prefetch, 0, false); err == nil {
		s.deliveries, err = s.ch.Consume(c.queue, s.consumerTag, false, false, false, false, nil)
	}
	if err != nil {
		return fmt.Errorf("consuming %s: %w", c.queue, explainDeclare(err))
	}
	return nil
}

// close gives up the channel; the broker gives what is unsettled to others.
func (s *session) close() {
	s.over.Store(true)
	force := time.AfterFunc(hangUpWithin, s.breakOff)
	defer force.Stop()
	_ = s.ch.Close() // it may be closed already
}

// take puts what has arrived into the window, as far as there is room. It
// returns false when the session broke.
func (c *consumer) take(ctx context.Context, s *session) bool {
	n := min(len(s.unread), c.cfg.Window-c.inWork)
	if n <= 0 {
		return true
	}
	batch := s.batch[:0]
	for _, d := range s.unread[:n] {
		batch = append(batch, arrival{d, newClaim(c, s, d)})
	}
	s.unread = slices.Delete(s.unread, 0, n)
	s.batch = batch
	defer clear(batch) // of what holds memory
	for _, d := range batch {
		s.tags.take(d.DeliveryTag, d.claim)
	}
	taken := !c.cfg.AtMostOnce || s.takeOff(batch[n-1].DeliveryTag, s.prefetch)
	for _, d := range batch {
		if !taken {
			c.memory.Give(d.claim.cost())
			continue
		}
		c.pass(ctx, d)
	}
	return taken
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
	c.book(1)
	c.figures.Lock()
	c.newest = d.Timestamp
	c.figures.Unlock()
	if d.Redelivered && !c.cfg.AtMostOnce && c.join(cl) {
		return
	}
	ctx = transport.WithDelivery(ctx, transport.Delivery{Returns: returns(d.Delivery) + transport.Count(m, transport.KeyReturns), Claim: cl})
	c.window.Pass(ctx, m, func(o inflight.Outcome) { c.end(cl, o) })
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
