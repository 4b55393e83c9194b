package rabbit

import (
	"context"
	"fmt"

	amqp "github.com/rabbitmq/amqp091-go"

	"github.com/answerfeed/answerfeed/internal/transport"
)

// checkRights tries at the start what a worker needs later, when a message is
// at stake: to publish to queues by name, and to read what is held. It changes
// nothing. Reading the queues themselves is tried by Subscribe.
func (t *Transport) checkRights(ctx context.Context, subs []transport.Subscription) error {
	if len(subs) == 0 {
		return nil
	}
	byName := t.cfg.Prefix + queuesExchange
	if err := t.mayPublish(ctx, byName); err != nil {
		return fmt.Errorf("trying the right to publish (write) to exchange %s, by which messages are redelivered: %w", byName, explainDeclare(err))
	}
	topics := map[string]bool{}
	for _, s := range subs {
		held := heldName(t.cfg.Prefix + s.Queue())
		err := t.consuming.onChannel(ctx, func(ch *amqp.Channel) error {
			// What it is sent goes back as it was: the queue counts nothing.
			_, err := ch.Consume(held, t.tags.next(t.cfg.Name), false, false, false, false, nil)
			return err
		})
		if err != nil {
			return fmt.Errorf("trying the right to consume (read) queue %s: %w", held, explainDeclare(err))
		}
		topics[s.Topic] = true
	}
	for topic := range topics { // a worker that only consumes publishes to none
		err := t.mayPublish(ctx, t.cfg.Prefix+topic)
		if code(err) == amqp.AccessRefused {
			t.cfg.Logger.Warn("the broker's user may not publish to a topic: what is published here, or relayed from the outbox, will be refused; give it the right to write there",
				"exchange", t.cfg.Prefix+topic, "error", err)
		} else if err != nil {
			return fmt.Errorf("trying the right to publish to exchange %s: %w", t.cfg.Prefix+topic, err)
		}
	}
	return nil
}

// mayPublish asks for the right without a message: taking back a binding needs
// the right to write to its destination, and one that is not there is no error.
func (t *Transport) mayPublish(ctx context.Context, exchange string) error {
	return t.consuming.onChannel(ctx, func(ch *amqp.Channel) error {
		return ch.ExchangeUnbind(exchange, nowhere, t.cfg.Prefix+queuesExchange, false, nil)
	})
}
