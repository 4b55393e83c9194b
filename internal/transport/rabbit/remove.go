package rabbit

import (
	"context"
	"fmt"
	"slices"
	"time"

	amqp "github.com/rabbitmq/amqp091-go"

	"github.com/answerfeed/answerfeed/internal/transport"
)

// awake is how long a broker that may have just started is left alone before a
// delay queue is deleted. The process of RabbitMQ 3.10 that moves the messages
// of such a queue, and is about to begin, fails when its queue is gone; two of
// these failures end the supervisor of all of them, and until the broker is
// started again no delay queue can be declared.
const awake = 2 * time.Second

// Prune deletes the handler's queues on every topic that the worker knows. Of
// what belongs to a queue it names the dead queue alone.
func (t *Transport) Prune(ctx context.Context, handler string) ([]string, error) {
	t.mu.Lock()
	topics := map[string][]time.Duration{}
	for _, s := range t.subs {
		topics[s.Topic] = append(topics[s.Topic], s.Delays...)
	}
	t.subs = slices.DeleteFunc(t.subs, func(s transport.Subscription) bool { return s.Handler == handler })
	t.mu.Unlock()
	var removed []string
	for topic, delays := range topics {
		s := transport.Subscription{Topic: topic, Handler: handler, Delays: delays}
		for _, queue := range []string{s.Queue(), s.DeadQueue()} {
			_, there, err := t.consuming.inspect(ctx, t.cfg.Prefix+queue)
			if err != nil {
				return removed, err
			}
			if there {
				removed = append(removed, queue)
			}
		}
		if err := t.deleteQueues(ctx, s); err != nil {
			return nil, err
		}
	}
	slices.Sort(removed)
	return removed, nil
}

// Readers counts the consumers of the handler's queues, on every topic that the
// worker knows.
func (t *Transport) Readers(ctx context.Context, handler string) (n int, err error) {
	topics := map[string]bool{}
	for _, s := range t.known(func(transport.Subscription) bool { return true }) {
		topics[s.Topic] = true
	}
	for topic := range topics {
		name := t.cfg.Prefix + transport.Subscription{Topic: topic, Handler: handler}.Queue()
		err := t.consuming.onChannel(ctx, func(ch *amqp.Channel) error {
			q, err := ch.QueueDeclarePassive(name, true, false, false, false, nil)
			n += q.Consumers
			return err
		})
		if err != nil && code(err) != amqp.NotFound {
			return 0, fmt.Errorf("asking who reads %s: %w", name, err)
		}
	}
	return n, nil
}

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
	t.quorum.end(ctx) // or its queue was declared again
	for _, s := range subs {
		// What leads into a queue goes before it.
		if err := t.deleteExchange(ctx, t.cfg.Prefix+s.Topic); err != nil {
			return err
		}
		if err := t.deleteQueues(ctx, s); err != nil {
			return err
		}
	}
	if t.quorum.barred.Load() { // then there is none
		return t.deleteExchange(ctx, t.cfg.Prefix+queuesExchange)
	}
	err := t.consuming.onChannel(ctx, func(ch *amqp.Channel) error {
		for n := range probeQueues {
			if _, err := ch.QueueDelete(probeName(t.cfg.Prefix, n), false, false, false); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("removing the queues that the broker is asked with: %w", err)
	}
	return t.deleteExchange(ctx, t.cfg.Prefix+queuesExchange)
}

func (t *Transport) deleteExchange(ctx context.Context, name string) error {
	err := t.consuming.onChannel(ctx, func(ch *amqp.Channel) error { return ch.ExchangeDelete(name, false, false) })
	if err != nil {
		return fmt.Errorf("removing exchange %s: %w", name, err)
	}
	return nil
}

// deleteQueues deletes all queues of a subscription, what leads into another
// before it, and those of older workers and of any delay that there may be.
func (t *Transport) deleteQueues(ctx context.Context, s transport.Subscription) error {
	queue := t.cfg.Prefix + s.Queue()
	var names []string
	for _, d := range distinct(append(ladder(), t.delays(s)...)) {
		names = append(names, delayName(queue, d), oldDelayName(queue, d))
	}
	names = append(names, queue, deadName(queue), lettersName(queue), heldName(queue))
	if err := t.consuming.settled(ctx, awake); err != nil {
		return fmt.Errorf("removing the queues of %s: %w", queue, err)
	}
	return t.consuming.onChannel(ctx, func(ch *amqp.Channel) error {
		for _, name := range names {
			if _, err := ch.QueueDelete(name, false, false, false); err != nil {
				return fmt.Errorf("removing queue %s: %w", name, err)
			}
		}
		return nil
	})
}
