package sqlqueue

import (
	"context"
	"fmt"
	"sync"

	"github.com/ThreeDotsLabs/watermill/message"

	"github.com/answerfeed/answerfeed/app/transport"
)

// subscriber is a queue's message.Subscriber. Each Subscribe is a consumer of
// its own, with a window of its own.
type subscriber struct {
	t   *Transport
	cfg transport.Consumer

	mu        sync.Mutex
	consumers []*consumer
	closed    bool
}

// Subscriber returns a subscriber of one queue, which Migrate has made.
func (t *Transport) Subscriber(c transport.Consumer) (message.Subscriber, error) {
	if err := c.Validate(); err != nil {
		return nil, err
	}
	return &subscriber{t: t, cfg: c}, nil
}

// Subscribe starts to consume. The topic is the consumer's, which was given
// already; another is an error.
func (s *subscriber) Subscribe(ctx context.Context, topic string) (<-chan *message.Message, error) {
	if topic != s.cfg.Topic {
		return nil, fmt.Errorf("subscribing to %s: this subscriber reads %s", topic, s.cfg.Name())
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return nil, fmt.Errorf("subscribing to %s: %w", s.cfg.Name(), transport.ErrClosed)
	}
	c, err := s.t.consume(ctx, s.cfg)
	if err != nil {
		return nil, err
	}
	s.consumers = append(s.consumers, c)
	return c.window.Messages(), nil
}

// Close closes each consumer, and returns when they are done.
func (s *subscriber) Close() error {
	s.mu.Lock()
	s.closed = true
	open := s.consumers
	s.mu.Unlock()
	var wg sync.WaitGroup
	for _, c := range open {
		wg.Go(func() { c.close() })
	}
	wg.Wait()
	return nil
}

// consume starts a consumer and remembers it for Transport.Close.
func (t *Transport) consume(ctx context.Context, cfg transport.Consumer) (*consumer, error) {
	c, err := newConsumer(ctx, t, cfg)
	if err != nil {
		return nil, fmt.Errorf("subscribing to %s: %w", cfg.Name(), err)
	}
	t.mu.Lock()
	if t.closed {
		t.mu.Unlock()
		c.stop()
		c.statements.all.Close()
		return nil, fmt.Errorf("subscribing to %s: %w", cfg.Name(), transport.ErrClosed)
	}
	t.consumers[c] = struct{}{}
	t.mu.Unlock()
	c.start()
	return c, nil
}
