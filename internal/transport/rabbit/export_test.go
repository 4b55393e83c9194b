package rabbit

import (
	"context"
	"time"

	amqp "github.com/rabbitmq/amqp091-go"
)

// DelayArguments are those of the delay queues of a queue.
func DelayArguments(queue, by string, delay time.Duration) amqp.Table {
	return delayArguments(queue, by, delay)
}

// PublishRaw publishes what the Marshaler would not make.
func (t *Transport) PublishRaw(ctx context.Context, topic string, messages ...amqp.Publishing) error {
	o := &outgoing{exchange: t.cfg.Prefix + topic, messages: messages}
	for i := range messages {
		o.open = append(o.open, i)
	}
	t.publisher.bring(ctx, o)
	return o.err()
}

// PublishAt makes the next connection that publishes to the URL of that number.
func (t *Transport) PublishAt(url int) { t.publishing.leave(t.publishing.url(), url) }

// PublishesAt is the number of the URL that is published to.
func (t *Transport) PublishesAt() int { return t.publishing.url() }
