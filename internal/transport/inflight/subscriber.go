package inflight

import (
	"context"
	"fmt"
	"sync"

	"github.com/ThreeDotsLabs/watermill/message"

	"github.com/answerfeed/answerfeed/internal/transport"
)

// Source is one running consumer of a queue.
type Source interface {
	// Messages is the channel of its window.
	Messages() <-chan *message.Message
	// Close stops the intake, lets the window drain, and waits for the end.
	Close()
}

// Set is the consumers that run. It is safe for concurrent use; its zero value
// is empty and open.
type Set struct {
	mu     sync.Mutex
	open   map[Source]struct{}
	closed bool
}

// Add takes a consumer in; false once the set was closed.
func (s *Set) Add(c Source) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return false
	}
	if s.open == nil {
		s.open = map[Source]struct{}{}
	}
	s.open[c] = struct{}{}
	return true
}

// Remove forgets a consumer that has ended.
func (s *Set) Remove(c Source) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.open, c)
}

func (s *Set) isClosed() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.closed
}

// All are the consumers that run now.
func (s *Set) All() []Source {
	s.mu.Lock()
	defer s.mu.Unlock()
	all := make([]Source, 0, len(s.open))
	for c := range s.open {
		all = append(all, c)
	}
	return all
}

// Close lets no more in, closes all at once, and returns when they are done.
func (s *Set) Close() {
	s.mu.Lock()
	s.closed = true
	s.mu.Unlock()
	var wg sync.WaitGroup
	for _, c := range s.All() {
		wg.Go(c.Close)
	}
	wg.Wait()
}

// Subscriber is a queue's message.Subscriber. Each Subscribe is a consumer of
// its own, with a window of its own.
type Subscriber struct {
	cfg     transport.Consumer
	start   func(context.Context, transport.Consumer) (Source, error)
	sources Set
}

var _ message.Subscriber = (*Subscriber)(nil)

// NewSubscriber returns a Subscriber that starts its consumers by start.
func NewSubscriber(cfg transport.Consumer, start func(context.Context, transport.Consumer) (Source, error)) (*Subscriber, error) {
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	return &Subscriber{cfg: cfg, start: start}, nil
}

// Subscribe starts to consume. The topic is the consumer's, which was given
// already; another is an error.
func (s *Subscriber) Subscribe(ctx context.Context, topic string) (<-chan *message.Message, error) {
	if topic != s.cfg.Topic {
		return nil, fmt.Errorf("subscribing to %s: this subscriber reads %s", topic, s.cfg.Name())
	}
	if s.sources.isClosed() {
		return nil, fmt.Errorf("subscribing to %s: %w", s.cfg.Name(), transport.ErrClosed)
	}
	c, err := s.start(ctx, s.cfg)
	if err != nil {
		return nil, fmt.Errorf("subscribing to %s: %w", s.cfg.Name(), err)
	}
	if !s.sources.Add(c) {
		c.Close()
		return nil, fmt.Errorf("subscribing to %s: %w", s.cfg.Name(), transport.ErrClosed)
	}
	return c.Messages(), nil
}

// Close closes each consumer, and returns when they are done.
func (s *Subscriber) Close() error {
	s.sources.Close()
	return nil
}
