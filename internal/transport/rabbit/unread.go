package rabbit

import (
	"math"
	"time"

	amqp "github.com/rabbitmq/amqp091-go"

	"github.com/answerfeed/answerfeed/internal/memory"
)

// The broker counts messages, not bytes: it sends as many ahead as the
// prefetch says, however large they are. So whatever arrives is read at once
// and counted; what there is no memory for goes back, and the prefetch becomes
// as small as what was there. From then on it doubles now and then.

// widenAfter is how long a prefetch that was made smaller stays so.
const widenAfter = 30 * time.Second

// unlimited is the prefetch of a consumer that never lacked memory.
const unlimited = math.MaxInt

// receive reads a delivery, and what else has arrived. It returns false when
// the session broke.
func (c *consumer) receive(s *session, d amqp.Delivery) bool {
	fits, more := true, true
	for ; more; d, more = s.arrived() {
		fits = c.arrive(s, d) && fits
	}
	return fits || c.narrow(s)
}

// arrive keeps a delivery that there is memory for; another goes back.
func (c *consumer) arrive(s *session, d amqp.Delivery) (fits bool) {
	s.tags.deliver(d.DeliveryTag)
	cost := memory.Cost(int64(len(d.Body)))
	if c.memory.Reserve(cost, cost) > 0 {
		s.unread = append(s.unread, d)
		return true
	}
	s.giveBack(d)
	return false
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

// narrow lets the broker send no more ahead than what there is memory for.
func (c *consumer) narrow(s *session) bool {
	c.narrowed = max(1, len(s.unread)+c.inWork)
	c.widen = time.Now().Add(widenAfter)
	if !c.announced {
		c.announced = true
		c.t.cfg.Logger.Info("messages are large; fewer are in flight at once, as memory.limit allows", "queue", c.queue, "in_flight", c.narrowed)
	}
	return c.again(s)
}

// widening is when the prefetch may become larger; nil: it is as configured.
func (c *consumer) widening() <-chan time.Time {
	if c.narrowed >= c.cfg.Window {
		return nil
	}
	return time.After(time.Until(c.widen))
}

// wider doubles the prefetch.
func (c *consumer) wider(s *session) bool {
	c.widen = time.Now().Add(widenAfter)
	if c.narrowed *= 2; c.narrowed >= c.cfg.Window {
		c.narrowed, c.announced = unlimited, false
	}
	return c.again(s)
}

// again ends the consumer and begins another on the same channel, with the
// prefetch of now: RabbitMQ keeps that of a consumer which is there.
func (c *consumer) again(s *session) bool {
	ended := make(chan error, 1)
	go func() { ended <- s.ch.Cancel(s.consumerTag, false) }()
	for d := range s.deliveries { // closed by Cancel, once it is empty
		if d.Acknowledger != nil {
			c.arrive(s, d)
		}
	}
	return <-ended == nil && c.consume(s) == nil
}

// giveBackUnread ends the consumer and gives back, at once, what the broker
// sent and nobody took.
func (c *consumer) giveBackUnread(s *session) {
	// A broker that is not heard of must not hold up the end.
	force := time.AfterFunc(hangUpWithin, s.breakOff)
	defer force.Stop()
	defer c.forget(s)
	if s.ch.Cancel(s.consumerTag, false) != nil {
		return
	}
	for _, d := range s.unread {
		if !s.giveBack(d) {
			return
		}
	}
	for d := range s.deliveries { // closed by Cancel, once it is empty
		if d.Acknowledger == nil {
			continue
		}
		s.tags.deliver(d.DeliveryTag)
		if !s.giveBack(d) {
			return
		}
	}
}

// forget frees the memory of what was not taken.
func (c *consumer) forget(s *session) {
	for _, d := range s.unread {
		c.memory.Give(memory.Cost(int64(len(d.Body))))
	}
	s.unread = nil
}

// giveBack gives one delivery back at once; false when the session broke.
func (s *session) giveBack(d amqp.Delivery) bool {
	if s.ch.Nack(d.DeliveryTag, false, true) != nil {
		return false
	}
	s.tags.settle(d.DeliveryTag)
	return true
}
