package rabbit

import (
	"context"
	"fmt"
	"time"

	amqp "github.com/rabbitmq/amqp091-go"

	"github.com/answerfeed/answerfeed/app/transport"
)

// awake is how long a broker that may have just started is left alone before a
// delay queue is deleted. The process of RabbitMQ 3.10 that moves the messages
// of such a queue, and is about to begin, fails when its queue is gone; two of
// these failures end the supervisor of all of them, and until the broker is
// started again no delay queue can be declared.
const awake = 2 * time.Second

// Remove deletes the queues of the subscriptions, those of their delays
// included, and the exchanges of their topics. A broker confirms deleting what
// is not there.
func (t *Transport) Remove(ctx context.Context, subs []transport.Subscription) error {
	if t.cfg.Prefix == "" {
		return fmt.Errorf("removing queues: %w", transport.ErrNoPrefix)
	}
	t.mu.Lock()
	t.subs = nil // or they were declared again
	t.mu.Unlock()
	for _, s := range subs {
		queue := t.cfg.Prefix + s.Queue()
		// What leads into a queue goes before it.
		err := t.consuming.onChannel(ctx, func(ch *amqp.Channel) error {
			return ch.ExchangeDelete(t.cfg.Prefix+s.Topic, false, false)
		})
		if err != nil {
			return fmt.Errorf("removing exchange %s%s: %w", t.cfg.Prefix, s.Topic, err)
		}
		for _, name := range append(t.delayQueues(s), queue, deadName(queue)) {
			if err := t.consuming.settled(ctx, awake); err != nil {
				return fmt.Errorf("removing queue %s: %w", name, err)
			}
			err := t.consuming.onChannel(ctx, func(ch *amqp.Channel) error {
				_, err := ch.QueueDelete(name, false, false, false)
				return err
			})
			if err != nil {
				return fmt.Errorf("removing queue %s: %w", name, err)
			}
		}
	}
	return nil
}
