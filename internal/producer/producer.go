// Package producer publishes what the worker's own tools make: events read
// from files, imported, or invented.
//
// The one thing to know: nothing is counted as published before the transport
// has confirmed it. Messages are gathered so that many share a confirmation.
package producer

import (
	"context"
	"errors"
	"fmt"
	"sync"

	"github.com/ThreeDotsLabs/watermill/message"

	"github.com/answerfeed/answerfeed/app/event"
	"github.com/answerfeed/answerfeed/internal/transport"
)

// What is gathered before it is published: so many messages, or so many bytes
// of payload.
const (
	batchMessages = 1000
	batchBytes    = 8 << 20
)

// Item is one message on its way out.
type Item struct {
	// Topic is a topic's name, or a queue's for that queue alone.
	Topic   string
	Message *message.Message
	// Where tells a person where the message came from: FILE:LINE.
	Where string
}

// NewMessage makes a message with the identity as UUID. Metadata may be nil;
// without a correlation id the identity is it.
func NewMessage(identity string, payload []byte, metadata map[string]string) *message.Message {
	m := message.NewMessage(identity, payload)
	for k, v := range metadata {
		m.Metadata.Set(k, v)
	}
	if m.Metadata.Get(transport.KeyCorrelationID) == "" {
		m.Metadata.Set(transport.KeyCorrelationID, identity)
	}
	return m
}

// EventMessage makes the message of an event's payload.
func EventMessage(payload []byte) *message.Message {
	return NewMessage(event.Identity(payload, ""), payload, nil)
}

// Producer gathers items and publishes them. It is for one goroutine.
type Producer struct {
	pub     message.Publisher
	refused func(Item, error)

	pending   []Item
	bytes     int
	published int
}

// New returns a Producer. refused is called for each item that was not
// published, with why.
func New(pub message.Publisher, refused func(Item, error)) *Producer {
	return &Producer{pub: pub, refused: refused}
}

// Published is how many messages were confirmed.
func (p *Producer) Published() int { return p.published }

// Add takes an item, and publishes when enough are gathered. Its error, like
// Flush's, means that the transport cannot be used.
func (p *Producer) Add(ctx context.Context, item Item) error {
	p.pending = append(p.pending, item)
	p.bytes += len(item.Message.Payload)
	if len(p.pending) < batchMessages && p.bytes < batchBytes {
		return nil
	}
	return p.Flush(ctx)
}

// Flush publishes what was gathered. Items that cannot be published, whose
// topic nobody listens to, or whose queue takes nothing are refused, and the
// others go out. Any other failure refuses the items that it concerns and is
// returned.
func (p *Producer) Flush(ctx context.Context) error {
	topics := map[string][]Item{}
	for _, item := range p.pending {
		item.Message.SetContext(ctx)
		topics[item.Topic] = append(topics[item.Topic], item)
	}
	p.pending, p.bytes = p.pending[:0], 0
	var (
		wg   sync.WaitGroup
		mu   sync.Mutex
		errs []error
	)
	for topic, items := range topics { // together, so that they share a commit
		wg.Go(func() {
			msgs := make([]*message.Message, len(items))
			for i, item := range items {
				msgs[i] = item.Message
			}
			err := p.pub.Publish(topic, msgs...)
			mu.Lock()
			defer mu.Unlock()
			fatal := false
			for i, err := range transport.Outcomes(err, len(items)) {
				switch {
				case err == nil:
					p.published++
					continue
				case errors.Is(err, transport.ErrNoQueue):
					err = fmt.Errorf("%w to %q", transport.ErrNoQueue, topic)
				case errors.Is(err, transport.ErrUnpublishable), errors.Is(err, transport.ErrRefused):
				default:
					fatal = true
				}
				p.refused(items[i], err)
			}
			if fatal {
				errs = append(errs, err)
			}
		})
	}
	wg.Wait()
	return errors.Join(errs...)
}
