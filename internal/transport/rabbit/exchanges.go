package rabbit

import (
	"context"
	"fmt"

	amqp "github.com/rabbitmq/amqp091-go"

	"github.com/answerfeed/answerfeed/internal/transport"
)

// exists looks once for an exchange that this process has not seen yet:
// publishing to one that is not there closes the channel, under whoever else
// publishes on it.
func (p *publisher) exists(ctx context.Context, exchange string) error {
	if _, seen := p.exchanges.Load(exchange); seen {
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

// explain adds what is known of the broker to an error of waiting.
func (p *publisher) explain(err, last error) error {
	if last != nil {
		err = fmt.Errorf("%w (before that: %w)", err, last)
	}
	if reason := p.link.blockedBy(); reason != "" {
		return fmt.Errorf("%w (alarm: %s): %w", transport.ErrBlocked, reason, err)
	}
	return fmt.Errorf("not confirmed in time: %w", err)
}
