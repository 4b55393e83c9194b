package rabbit

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	amqp "github.com/rabbitmq/amqp091-go"

	"github.com/answerfeed/answerfeed/internal/transport"
)

// askQueueWithin bounds the wait for one queue's answer when the one that
// refuses is looked for.
const askQueueWithin = time.Second

// refusing remembers the queue that keeps the messages of an exchange from
// being confirmed. A fanout to many queues is refused as a whole when one is
// full, though the others took the message; so until the full one takes a
// message that is sent to it alone, nothing is sent to the others.
type refusing struct {
	mu     sync.Mutex
	queues map[string]string // by exchange
}

// queue is the queue that refused the last time, or "".
func (r *refusing) queue(exchange string) string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.queues[exchange]
}

func (r *refusing) set(exchange, queue string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if queue == "" {
		delete(r.queues, exchange)
		return
	}
	if r.queues == nil {
		r.queues = map[string]string{}
	}
	r.queues[exchange] = queue
}

// refusedBy is the error of messages that a queue refuses.
func refusedBy(queue string) error {
	return fmt.Errorf("%w: queue %s is full (max-length or max-length-bytes with reject-publish, by its arguments or a policy), or cannot store them", transport.ErrRefused, queue)
}

// stillRefused asks the queue that refused the last time, if there is one,
// with one message for that queue alone.
func (p *publisher) stillRefused(ctx context.Context, o *outgoing) error {
	queue := p.refusing.queue(o.exchange)
	if queue == "" || len(o.open) == 0 {
		return nil
	}
	err := p.toQueue(ctx, queue, o.smallest())
	switch {
	case errors.Is(err, errNacked):
		return refusedBy(queue)
	case err == nil, errors.Is(err, transport.ErrNoQueue), errors.Is(err, transport.ErrForbidden):
		p.refusing.set(o.exchange, "")
		return nil
	}
	return err
}

// whoRefuses finds out which of the queues that this process knows refuses an
// exchange's messages, by sending one message to each alone until one refuses
// it: those before have that message twice.
func (p *publisher) whoRefuses(ctx context.Context, o *outgoing) error {
	if o.exchange == p.t.cfg.Prefix+queuesExchange {
		return refusedBy(o.key)
	}
	if queue := p.refusing.queue(o.exchange); queue != "" { // somebody has found out
		return refusedBy(queue)
	}
	for _, s := range p.t.known(func(s transport.Subscription) bool { return p.t.cfg.Prefix+s.Topic == o.exchange }) {
		queue := p.t.cfg.Prefix + s.Queue()
		asking, cancel := context.WithTimeout(ctx, askQueueWithin)
		err := p.toQueue(asking, queue, o.smallest())
		cancel()
		if errors.Is(err, errNacked) {
			p.refusing.set(o.exchange, queue)
			return refusedBy(queue)
		}
	}
	return fmt.Errorf("%w: one that is bound to exchange %s, and that this worker does not know", transport.ErrRefused, o.exchange)
}

// toQueue sends one message to one queue.
func (p *publisher) toQueue(ctx context.Context, queue string, m amqp.Publishing) error {
	byName := p.t.cfg.Prefix + queuesExchange
	if err := p.exists(ctx, byName); err != nil {
		return err
	}
	_, err := p.deliver(ctx, p.shared, byName, queue, []amqp.Publishing{m})
	return err
}
