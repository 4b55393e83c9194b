package rabbit

import (
	"context"
	"errors"
	"time"

	"github.com/ThreeDotsLabs/watermill/message"
	amqp "github.com/rabbitmq/amqp091-go"

	"github.com/answerfeed/answerfeed/internal/transport"
	"github.com/answerfeed/answerfeed/internal/transport/inflight"
)

// firstWithin is how long Subscribe waits for its first session. A queue may
// have no leader for a while; then it goes on alone.
const firstWithin = 5 * time.Second

// Subscriber returns a subscriber of one queue, which Migrate has made.
func (t *Transport) Subscriber(c transport.Consumer) (message.Subscriber, error) {
	return inflight.NewSubscriber(c, t.consume)
}

// queueOf is the queue that a consumer reads: letters rest beside the dead
// queue.
func (t *Transport) queueOf(c transport.Consumer) string {
	queue := t.cfg.Prefix + c.Queue()
	if c.Dead {
		return lettersName(queue)
	}
	return queue
}

func (t *Transport) consume(ctx context.Context, cfg transport.Consumer) (inflight.Source, error) {
	c := newConsumer(t, cfg)
	if !t.consumers.Add(c) {
		return nil, transport.ErrClosed
	}
	first, err := c.first(ctx)
	if err != nil {
		t.consumers.Remove(c)
		c.stop()
		close(c.done) // for whoever found it meanwhile
		return nil, err
	}
	t.startMoving(cfg.Subscription)
	c.start(ctx, first)
	return c, nil
}

// first is the consumer's first session, nil when it may still come. What
// does not heal by itself is an error.
func (c *consumer) first(ctx context.Context) (*session, error) {
	ctx, cancel := context.WithTimeout(ctx, firstWithin)
	defer cancel()
	defer context.AfterFunc(c.intake, cancel)()
	s, err := c.open(ctx)
	switch code(err) {
	case amqp.NotFound, amqp.AccessRefused, amqp.PreconditionFailed:
		return nil, err
	}
	if errors.Is(err, transport.ErrClosed) {
		return nil, err
	}
	if c.intake.Err() == nil && !errors.Is(err, context.Canceled) {
		c.report(err)
	}
	return s, nil
}
