package rabbit

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/ThreeDotsLabs/watermill/message"
	amqp "github.com/rabbitmq/amqp091-go"

	"github.com/answerfeed/answerfeed/internal/transport"
)

const (
	// moverPrefetch is how many messages a mover has in work.
	moverPrefetch = 50
	// maxMovePause bounds the pause before a message that could not be moved is
	// tried again. It stays with the mover meanwhile: a broker counts what is
	// given back.
	maxMovePause = 10 * time.Second
)

// mover empties a queue in which nothing may rest: it publishes each message
// to where it belongs, and acknowledges it when that is confirmed. A crash
// between the two doubles the message. While a mover consumes a quorum queue
// the broker does not let the queue expire.
type mover struct {
	t        *Transport
	sub      transport.Subscription
	from     string
	mayGo    bool // the queue may be gone, and then the mover ends
	prefetch int
	route    func(amqp.Delivery) (moved, error)
	failing  bool
}

// moved is what becomes of a message.
type moved struct {
	to      string // a queue, with the prefix
	message *message.Message
	tell    func() // when it is there; nil = nothing
}

// run holds session after session until ctx ends, or until there is nothing to
// empty any more.
func (m *mover) run(ctx context.Context) {
	for pause := reopenPause; ctx.Err() == nil; pause = min(2*pause, maxMovePause) {
		began := time.Now()
		err := m.serve(ctx)
		if code(err) == amqp.NotFound {
			ours := m.t.known(func(s transport.Subscription) bool { return s.Queue() == m.sub.Queue() })
			if m.mayGo || len(ours) == 0 {
				return
			}
			err = m.t.declareAgain(ctx, ours)
		}
		if ctx.Err() == nil {
			m.report(err)
		}
		if time.Since(began) > maxMovePause {
			pause = reopenPause
		}
		sleep(ctx, pause)
	}
}

// serve moves what comes on one channel.
func (m *mover) serve(ctx context.Context) error {
	// What is in flight when the process dies counts as a delivery. So nothing
	// is taken from a broker that would not take it again.
	if err := m.t.takesMessages(ctx); err != nil {
		return err
	}
	ch, deliveries, err := m.open(ctx)
	if err != nil {
		return err
	}
	defer m.hangUp(ctx, ch)
	m.report(nil)
	var left []amqp.Delivery // taken, and not moved yet
	again, pause := newAlarm(), reopenPause
	defer again.timer.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case d, open := <-deliveries:
			if !open || d.Acknowledger == nil {
				return nil // broken, or the queue is gone
			}
			rest, err := m.move(ctx, m.arrived(d, deliveries))
			m.reportMoving(err)
			left = append(left, rest...)
		case <-again.timer.C:
			again.rang()
			rest, err := m.move(ctx, left)
			m.reportMoving(err)
			if left = rest; len(left) > 0 {
				pause = min(2*pause, maxMovePause)
			} else {
				pause = reopenPause
			}
		}
		if len(left) > 0 {
			again.set(pause)
		}
	}
}

// arrived are a delivery and what else is there already.
func (m *mover) arrived(d amqp.Delivery, deliveries <-chan amqp.Delivery) []amqp.Delivery {
	batch := []amqp.Delivery{d}
	for len(batch) < m.prefetch {
		select {
		case d, open := <-deliveries:
			if !open || d.Acknowledger == nil {
				return batch // serve finds out
			}
			batch = append(batch, d)
		default:
			return batch
		}
	}
	return batch
}

func (m *mover) open(ctx context.Context) (*amqp.Channel, <-chan amqp.Delivery, error) {
	waiting, cancel := context.WithTimeout(ctx, maxReopenPause)
	defer cancel()
	conn, err := m.t.consuming.get(waiting)
	if err != nil {
		return nil, nil, fmt.Errorf("waiting for the broker: %w", err)
	}
	type opened struct {
		ch         *amqp.Channel
		deliveries <-chan amqp.Delivery
	}
	o, err := within(ctx, func() (opened, error) {
		ch, err := conn.Channel()
		if err != nil {
			return opened{}, fmt.Errorf("opening a channel: %w", err)
		}
		err = ch.Qos(m.prefetch, 0, false)
		var deliveries <-chan amqp.Delivery
		if err == nil {
			deliveries, err = ch.Consume(m.from, m.t.tags.next(m.t.cfg.Name), false, false, false, false, nil)
		}
		if err != nil {
			_ = ch.Close()
			return opened{}, fmt.Errorf("consuming %s: %w", m.from, explainDeclare(err))
		}
		return opened{ch, deliveries}, nil
	}, func(o opened) { _ = o.ch.Close() })
	return o.ch, o.deliveries, err
}

// hangUp closes the channel; a broker that does not answer holds nobody up.
func (m *mover) hangUp(ctx context.Context, ch *amqp.Channel) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), hangUpWithin)
	defer cancel()
	_, _ = within(ctx, func() (struct{}, error) { return struct{}{}, ch.Close() }, func(struct{}) {})
}

// move moves what it can, acknowledges that, and returns what it cannot move
// now. What cannot be acknowledged comes again.
func (m *mover) move(ctx context.Context, batch []amqp.Delivery) (left []amqp.Delivery, err error) {
	byQueue := map[string][]amqp.Delivery{}
	all := make(map[uint64]moved, len(batch))
	for _, d := range batch {
		to, routeErr := m.route(d)
		if routeErr != nil {
			left, err = append(left, d), routeErr
			continue
		}
		all[d.DeliveryTag] = to
		byQueue[to.to] = append(byQueue[to.to], d)
	}
	for queue, deliveries := range byQueue {
		messages := make([]*message.Message, len(deliveries))
		for i, d := range deliveries {
			messages[i] = all[d.DeliveryTag].message
		}
		for i, outcome := range m.publish(ctx, queue, messages) {
			d := deliveries[i]
			if outcome != nil {
				left, err = append(left, d), fmt.Errorf("moving a message from %s to %s: %w", m.from, queue, outcome)
				continue
			}
			if tell := all[d.DeliveryTag].tell; tell != nil {
				tell()
			}
			_ = d.Ack(false)
		}
	}
	return left, err
}

// publish publishes to one queue, and tells of each message why it is not
// published.
func (m *mover) publish(ctx context.Context, queue string, messages []*message.Message) []error {
	publishing, cancel := context.WithTimeout(context.WithoutCancel(ctx), m.t.cfg.PublishTimeout)
	defer cancel()
	// What was begun when the transport closes may come to its end.
	defer context.AfterFunc(ctx, func() { time.AfterFunc(moveWithin, cancel) })()
	err := m.t.publisher.publish(publishing, m.t.cfg.Prefix+queuesExchange, queue, messages)
	return transport.Outcomes(err, len(messages))
}

// report logs that the queue cannot be emptied, or can again: once a change.
func (m *mover) report(err error) {
	if failing := err != nil; failing != m.failing {
		m.failing = failing
		if failing {
			m.t.cfg.Logger.Error("the queue cannot be emptied; trying again", "queue", m.from, "error", err)
		} else {
			m.t.cfg.Logger.Info("the queue is emptied again", "queue", m.from)
		}
	}
}

// reportMoving is report for a message that cannot be moved.
func (m *mover) reportMoving(err error) {
	if err == nil || m.t.movers.life.Err() == nil {
		m.report(err)
	}
}

// nowhere is a routing key that leads to no queue: their names have a dot.
const nowhere = "nowhere"

// takesMessages asks whether the broker takes messages now: it confirms one
// that leads nowhere. One in alarm blocks a connection only after the first
// message, so it is asked twice; several that ask wait for one answer.
func (t *Transport) takesMessages(ctx context.Context) error {
	answer := t.pings.DoChan(nowhere, func() (any, error) {
		ctx, cancel := context.WithTimeout(t.movers.life, t.cfg.PublishTimeout)
		defer cancel()
		for range 2 {
			err := t.publisher.publish(ctx, t.cfg.Prefix+queuesExchange, nowhere, []*message.Message{message.NewMessage("", nil)})
			if err != nil && !errors.Is(err, transport.ErrNoQueue) {
				return nil, fmt.Errorf("asking whether the broker takes messages: %w", err)
			}
		}
		return nil, nil
	})
	select {
	case a := <-answer:
		return a.Err
	case <-ctx.Done():
		return ctx.Err()
	}
}
