package rabbit

import (
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	amqp "github.com/rabbitmq/amqp091-go"

	"github.com/answerfeed/answerfeed/internal/memory"
	"github.com/answerfeed/answerfeed/internal/transport/inflight"
)

// claim is one delivery.
type claim struct {
	consumer *consumer
	session  *session
	tag      uint64
	size     int64
	over     atomic.Bool // given back while its handler still ran
	content  content     // for the fingerprint

	// Guarded by the consumer's mu.
	ended   bool
	outcome inflight.Outcome
	attempt *attempt // the work on it, once that has outlived its session

	joined *attempt // what it waits for instead of being handled; of run alone
}

// content is what of a delivery stays the same when the broker delivers the
// message again.
type content struct {
	id      string
	sent    time.Time
	headers amqp.Table
	body    []byte
}

// ending is how a message left the window.
type ending struct {
	*claim
	outcome inflight.Outcome
}

// cost is what the message takes of the memory while it is here.
func (cl *claim) cost() int64 { return memory.Cost(cl.size) }

func newClaim(c *consumer, s *session, d amqp.Delivery) *claim {
	return &claim{
		consumer: c, session: s, tag: d.DeliveryTag, size: int64(len(d.Body)),
		content: content{d.MessageId, d.Timestamp, d.Headers, d.Body},
	}
}

// fingerprint is what a message has in common with itself alone, of all in
// the queue: a requeue, a replay and a delayed copy differ from it in the
// counts among their headers. Headers of the broker's own change with each
// delivery and are left out.
func (cl *claim) fingerprint() fingerprint {
	h := sha256.New()
	add := func(part string) {
		_ = binary.Write(h, binary.BigEndian, uint64(len(part))) // a hash takes everything
		h.Write([]byte(part))
	}
	add(cl.consumer.queue)
	add(cl.content.id)
	add(cl.content.sent.UTC().String())
	for _, key := range slices.Sorted(maps.Keys(cl.content.headers)) {
		if !strings.HasPrefix(key, "x-") {
			add(key)
			add(fmt.Sprint(cl.content.headers[key]))
		}
	}
	h.Write(cl.content.body)
	return fingerprint(h.Sum(nil))
}

// lost reports that the message is not this claim's any more: given back, or
// the broker has taken it back and has not delivered it here again.
func (cl *claim) lost() bool {
	if cl.over.Load() {
		return true
	}
	if !cl.session.over.Load() {
		return false
	}
	cl.consumer.mu.Lock()
	attempt := cl.attempt
	cl.consumer.mu.Unlock()
	return attempt == nil || !cl.consumer.t.outlived.awaited(attempt)
}

// end books the outcome of a message that was handled, or that waited for work
// begun before, and passes it on to those who wait for this one.
func (c *consumer) end(cl *claim, o inflight.Outcome) {
	cl.over.Store(o == inflight.Returned)
	c.mu.Lock()
	cl.ended, cl.outcome = true, o
	attempt := cl.attempt
	c.ended = append(c.ended, ending{cl, o})
	c.mu.Unlock()
	select {
	case c.signal <- struct{}{}:
	default:
	}
	if attempt != nil {
		c.t.outlived.end(attempt, o)
	}
}

// join takes in a delivery whose message is being handled here already, by
// work that has outlived an earlier session, or was so within the last hour;
// false when it is to be handled.
func (c *consumer) join(cl *claim) bool {
	a, done := c.t.outlived.join(cl)
	if a == nil && !done {
		return false
	}
	c.t.closes.rejoined(c.cfg)
	cl.joined = a
	if done {
		c.end(cl, inflight.Acked)
	}
	return true
}

// outlive notes the work that goes on after its session, and lets go of the
// deliveries that waited in it for other work. It returns how much goes on.
func (c *consumer) outlive(s *session) (inFlight int) {
	if c.cfg.AtMostOnce {
		return 0 // the messages are off the queue, and do not come again
	}
	for _, cl := range s.tags.unsettled() {
		if cl.joined != nil {
			if c.t.outlived.leave(cl) {
				c.book(-1)
				c.memory.Give(cl.cost())
				inFlight++
			}
			continue
		}
		key := cl.fingerprint()
		c.mu.Lock()
		ended, outcome := cl.ended, cl.outcome
		if !ended {
			cl.attempt = c.t.outlived.begin(key)
			inFlight++
		}
		c.mu.Unlock()
		if ended && outcome == inflight.Acked {
			c.t.outlived.remember(key)
		}
	}
	return inFlight
}
