package rabbit

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/ThreeDotsLabs/watermill"
	wamqp "github.com/ThreeDotsLabs/watermill-amqp/v2/pkg/amqp"
	amqp "github.com/rabbitmq/amqp091-go"

	"github.com/answerfeed/answerfeed/internal/transport"
)

// Topology declares what a handler's queue on a topic needs. It is a
// watermill-amqp TopologyBuilder.
type Topology struct {
	// Delays are the delays of redelivery, a queue each.
	Delays []time.Duration
	// Prefix is that of the exchange that leads to queues by name.
	Prefix string
	// WithoutDefault makes a queue that dead-letters by the exchange of ours:
	// for a user who has no right on the default one. A queue that is there
	// keeps the exchange that it was made with.
	WithoutDefault bool
}

var _ wamqp.TopologyBuilder = Topology{}

// ExchangeDeclare declares the topic's exchange: durable, fanout.
func (t Topology) ExchangeDeclare(ch *amqp.Channel, exchange string, _ wamqp.Config) error {
	return ch.ExchangeDeclare(exchange, amqp.ExchangeFanout, true, false, false, false, nil)
}

// BuildTopology declares and binds the queues and then the exchange, in an
// order in which whatever can come into a queue finds the ones that it may go
// to. An error closes the channel.
func (t Topology) BuildTopology(ch *amqp.Channel, queue, exchange string, config wamqp.Config, _ watermill.LoggerAdapter) error {
	byName := t.Prefix + queuesExchange
	if err := declareByName(ch, byName); err != nil {
		return err
	}
	by := ""
	if t.WithoutDefault {
		by = byName
	}
	all := []struct {
		name      string
		arguments amqp.Table
	}{
		{heldName(queue), heldArguments()},
		{lettersName(queue), lettersArguments(queue, byName)},
		{deadName(queue), deadArguments()},
		{queue, queueArguments(queue, by)},
	}
	for _, q := range all {
		if err := declare(ch, q.name, byName, q.arguments); err != nil {
			return err
		}
	}
	for _, d := range t.Delays {
		if err := declare(ch, delayName(queue, d), byName, delayArguments(queue, byName, d)); err != nil {
			return err
		}
	}
	if exchange == "" {
		return nil
	}
	if err := t.ExchangeDeclare(ch, exchange, config); err != nil {
		return fmt.Errorf("declaring exchange %s: %w", exchange, explainDeclare(err))
	}
	if err := ch.QueueBind(queue, "", exchange, false, nil); err != nil {
		return fmt.Errorf("binding queue %s to exchange %s: %w", queue, exchange, explainDeclare(err))
	}
	return nil
}

// declareByName declares the exchange that leads to queues by name.
func declareByName(ch *amqp.Channel, exchange string) error {
	if err := ch.ExchangeDeclare(exchange, amqp.ExchangeDirect, true, false, false, false, nil); err != nil {
		return fmt.Errorf("declaring exchange %s: %w", exchange, explainDeclare(err))
	}
	return nil
}

// declare declares a queue and binds it by its name.
func declare(ch *amqp.Channel, queue, byName string, arguments amqp.Table) error {
	if _, err := ch.QueueDeclare(queue, true, false, false, false, arguments); err != nil {
		return fmt.Errorf("declaring queue %s: %w", queue, explainDeclare(err))
	}
	return bindByName(ch, queue, byName)
}

func bindByName(ch *amqp.Channel, queue, byName string) error {
	if err := ch.QueueBind(queue, queue, byName, false, nil); err != nil {
		return fmt.Errorf("binding queue %s to exchange %s: %w", queue, byName, explainDeclare(err))
	}
	return nil
}

// declareAll declares the queues of the subscriptions, each handler's with a
// channel of its own, since an error closes it.
func (t *Transport) declareAll(ctx context.Context, subs []transport.Subscription) error {
	fresh := false
	for _, s := range subs {
		queue, delays := t.cfg.Prefix+s.Queue(), t.delays(s)
		names := []string{queue, deadName(queue), lettersName(queue), heldName(queue)}
		for _, d := range delays {
			names = append(names, delayName(queue, d))
		}
		there, err := t.consuming.count(ctx, names)
		if err != nil {
			return fmt.Errorf("declaring queues: %w", err)
		}
		fresh = fresh || len(there) < len(names)
		build := func(topology Topology) error {
			return t.consuming.onChannel(ctx, func(ch *amqp.Channel) error {
				return topology.BuildTopology(ch, queue, t.cfg.Prefix+s.Topic, wamqp.Config{}, watermill.NopLogger{})
			})
		}
		topology := Topology{Delays: delays, Prefix: t.cfg.Prefix}
		if err = build(topology); concernsDefault(err) {
			topology.WithoutDefault = true
			if second := build(topology); second == nil || code(err) == amqp.AccessRefused {
				err = second
			}
		}
		if err != nil {
			return fmt.Errorf("declaring queues: %w", err)
		}
	}
	if fresh {
		return writtenDown(ctx)
	}
	return nil
}

// concernsDefault reports that a queue cannot dead-letter by the default
// exchange: the user has no right on it, or the queue was made by one who had
// none.
func concernsDefault(err error) bool {
	var e *amqp.Error
	if !errors.As(err, &e) {
		return false
	}
	return e.Code == amqp.AccessRefused && strings.Contains(e.Reason, "'amq.default'") ||
		e.Code == amqp.PreconditionFailed && strings.Contains(e.Reason, "'x-dead-letter-exchange'")
}

// declareDelay declares a delay queue beyond the schedule, once.
func (t *Transport) declareDelay(ctx context.Context, s transport.Subscription, delay time.Duration) error {
	if slices.Contains(t.delays(s), delay) {
		return nil
	}
	select {
	case t.declaring <- struct{}{}:
		defer func() { <-t.declaring }()
	case <-ctx.Done():
		return ctx.Err()
	}
	if slices.Contains(t.delays(s), delay) {
		return nil
	}
	queue, byName := t.cfg.Prefix+s.Queue(), t.cfg.Prefix+queuesExchange
	name := delayName(queue, delay)
	_, there, err := t.consuming.inspect(ctx, name)
	if err == nil {
		err = t.consuming.onChannel(ctx, func(ch *amqp.Channel) error {
			return declare(ch, name, byName, delayArguments(queue, byName, delay))
		})
	}
	if err == nil && !there {
		err = writtenDown(ctx)
	}
	if err != nil {
		return fmt.Errorf("making the delay queue %s: %w", name, err)
	}
	t.noteDelay(queue, delay)
	return nil
}

// writtenDown waits until a broker that is killed still has the queues that
// were just declared.
//
// RabbitMQ keeps the directory of its quorum queues in a file that it writes
// half a second, or at most a second, after the last change, and confirms
// messages before that. A broker that is killed in between comes back with the
// queue's name, but with nothing in it, and without ever a leader for it.
func writtenDown(ctx context.Context) error {
	const within = 1200 * time.Millisecond
	sleep(ctx, within)
	if err := ctx.Err(); err != nil {
		return fmt.Errorf("waiting for the broker to write down new queues: %w", err)
	}
	return nil
}
