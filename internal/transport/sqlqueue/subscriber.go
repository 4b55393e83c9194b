package sqlqueue

import (
	"context"

	"github.com/ThreeDotsLabs/watermill/message"

	"github.com/answerfeed/answerfeed/internal/transport"
	"github.com/answerfeed/answerfeed/internal/transport/inflight"
)

// Subscriber returns a subscriber of one queue, which Migrate has made.
func (t *Transport) Subscriber(c transport.Consumer) (message.Subscriber, error) {
	return inflight.NewSubscriber(c, t.consume)
}

// consume starts a consumer and remembers it for Transport.Close.
func (t *Transport) consume(ctx context.Context, cfg transport.Consumer) (inflight.Source, error) {
	c, err := newConsumer(ctx, t, cfg)
	if err != nil {
		return nil, err
	}
	if !t.consumers.Add(c) {
		c.stop()
		c.window.Close(0)
		c.statements.all.Close()
		return nil, transport.ErrClosed
	}
	c.start()
	return c, nil
}
