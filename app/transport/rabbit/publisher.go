package rabbit

import (
	"context"
	"errors"
	"fmt"
	"sync"

	"github.com/ThreeDotsLabs/watermill/message"
	amqp "github.com/rabbitmq/amqp091-go"

	"github.com/answerfeed/answerfeed/app/transport"
)

// lanes is how many channels publish. One writes as fast as the connection
// takes it; a second goes on while the other is opened again.
const lanes = 2

// publisher publishes with confirmation, mandatory, many messages outstanding.
// It has a connection of its own, since a broker in alarm stops reading from
// those who publish, acknowledgements included.
type publisher struct {
	t     *Transport
	link  *link
	lanes chan request
	ended []<-chan struct{}
	// exchanges that were seen to exist, and who may look for another.
	exchanges sync.Map
	looking   chan struct{}
}

func newPublisher(t *Transport, l *link) *publisher {
	p := &publisher{t: t, link: l, lanes: make(chan request), looking: make(chan struct{}, 1)}
	for range lanes {
		ended := make(chan struct{})
		p.ended = append(p.ended, ended)
		go runLanes(l, p.lanes, ended)
	}
	return p
}

// Publish returns when the broker has confirmed every message. It tries again
// while the connection breaks, as long as the context of the first message
// and PublishTimeout allow: some messages may then be there twice.
func (p *publisher) Publish(topic string, msgs ...*message.Message) error {
	if len(msgs) == 0 {
		return nil
	}
	ctx, cancel := context.WithTimeout(msgs[0].Context(), p.t.cfg.PublishTimeout)
	defer cancel()
	exchange, key := p.t.cfg.Prefix+topic, ""
	if transport.IsQueue(topic) {
		exchange, key = p.t.cfg.Prefix+queuesExchange, p.t.cfg.Prefix+topic
	}
	if err := p.publish(ctx, exchange, key, msgs); err != nil {
		return fmt.Errorf("publishing %d messages to %s: %w", len(msgs), topic, err)
	}
	return nil
}

// Close does nothing: the transport closes its publisher.
func (p *publisher) Close() error { return nil }

// publish takes an exchange and a routing key.
func (p *publisher) publish(ctx context.Context, exchange, key string, msgs []*message.Message) error {
	publishings := make([]amqp.Publishing, len(msgs))
	for i, m := range msgs {
		var err error
		if publishings[i], err = (Marshaler{}).Marshal(m); err != nil {
			return err
		}
	}
	declared := false
	for {
		err := p.exists(ctx, exchange)
		if err == nil {
			err = p.try(ctx, exchange, key, publishings)
		}
		if errors.Is(err, transport.ErrNoQueue) {
			p.exchanges.Delete(exchange)
		}
		switch {
		case err == nil:
			return nil
		case errors.Is(err, transport.ErrNoQueue) && !declared:
			// Deleted underfoot, perhaps: what is ours is made again.
			declared = true
			if ours, redeclareErr := p.t.redeclare(ctx, exchange, key); !ours || redeclareErr != nil {
				return errors.Join(err, redeclareErr)
			}
		case errors.Is(err, transport.ErrNoQueue), errors.Is(err, transport.ErrClosed), code(err) == amqp.AccessRefused:
			return err
		case ctx.Err() != nil:
			return p.explain(err)
		default:
			sleep(ctx, dialPause) // else it were a hot loop
		}
	}
}

// exists looks once for an exchange that this process has not seen yet:
// publishing to one that is not there closes the channel, under whoever else
// publishes on it.
func (p *publisher) exists(ctx context.Context, exchange string) error {
	if _, seen := p.exchanges.Load(exchange); seen || exchange == "" {
		return nil
	}
	if len(exchange) > maxShort {
		return fmt.Errorf("%w: the name is too long", transport.ErrNoQueue)
	}
	select {
	case p.looking <- struct{}{}: // one at a time: each takes a channel
		defer func() { <-p.looking }()
	case <-ctx.Done():
		return ctx.Err()
	}
	if _, seen := p.exchanges.Load(exchange); seen {
		return nil
	}
	err := p.t.consuming.onChannel(ctx, func(ch *amqp.Channel) error {
		return ch.ExchangeDeclarePassive(exchange, amqp.ExchangeFanout, true, false, false, false, nil)
	})
	if code(err) == amqp.NotFound {
		return fmt.Errorf("%w: no exchange %s", transport.ErrNoQueue, exchange)
	}
	if err != nil {
		return err
	}
	p.exchanges.Store(exchange, true)
	return nil
}

// try publishes once and waits for the confirmations.
func (p *publisher) try(ctx context.Context, exchange, key string, publishings []amqp.Publishing) error {
	answer := make(chan sent, 1)
	select {
	case p.lanes <- request{exchange, key, publishings, answer}:
	case <-p.link.ctx.Done():
		return transport.ErrClosed
	case <-ctx.Done():
		return ctx.Err()
	}
	select {
	case s := <-answer:
		return s.wait(ctx)
	case <-p.link.ctx.Done():
		return transport.ErrClosed
	case <-ctx.Done(): // the lane is stuck in writing
		return ctx.Err()
	}
}

// explain adds what is known of the broker to an error of waiting.
func (p *publisher) explain(err error) error {
	if reason := p.link.blockedBy(); reason != "" {
		return fmt.Errorf("the broker takes no messages for now (alarm: %s): %w", reason, err)
	}
	return fmt.Errorf("not confirmed in time: %w", err)
}
