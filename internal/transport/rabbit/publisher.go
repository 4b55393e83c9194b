package rabbit

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"time"

	"github.com/ThreeDotsLabs/watermill/message"
	amqp "github.com/rabbitmq/amqp091-go"

	"github.com/answerfeed/answerfeed/internal/transport"
)

const (
	// sharedLanes is how many channels publish. One writes as fast as the
	// connection takes it; a second goes on while the other is opened again.
	sharedLanes = 2
	// maxSends bounds how often a message is written when connections break.
	// A broker's queues may then have it as often.
	maxSends = 10
	// maxNacks is how often messages are refused before they are given up:
	// each time, the other queues of a fanout take them once more.
	maxNacks = 3
	// nackPause is the first pause after a refusal; the next is four times as long.
	nackPause = 250 * time.Millisecond
)

// publisher publishes with confirmation, mandatory, many messages outstanding.
// It has a connection of its own, since a broker in alarm stops reading from
// those who publish, acknowledgements included.
type publisher struct {
	t    *Transport
	link *link
	// shared takes requests of many messages, and single of one message, which
	// has a channel for itself.
	shared, single chan request
	ended          []<-chan struct{}
	// exchanges that were seen to exist, and who may look for another.
	exchanges sync.Map
	looking   chan struct{}
	refusing  refusing
}

func newPublisher(t *Transport, l *link) *publisher {
	p := &publisher{t: t, link: l, shared: make(chan request), single: make(chan request), looking: make(chan struct{}, 1)}
	run := func(requests <-chan request, single time.Duration) {
		ended := make(chan struct{})
		p.ended = append(p.ended, ended)
		go runLanes(l, requests, single, ended)
	}
	for range sharedLanes {
		run(p.shared, 0)
	}
	run(p.single, t.cfg.PublishTimeout)
	return p
}

// Publish returns when the broker has confirmed every message, or refused it.
// It tries again while the connection breaks, as long as the context of the
// first message and PublishTimeout allow: some messages may then be there
// twice. Its error is a [transport.PublishError].
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
	o := newOutgoing(exchange, key, msgs)
	p.bring(ctx, o)
	return o.err()
}

// bring sends what is open, again and again, until nothing is. Each pause is
// longer than the one before.
func (p *publisher) bring(ctx context.Context, o *outgoing) {
	var breaks, nacks int
	var last error // the broker's, for when time runs out
	declared := false
	for len(o.open) > 0 {
		known := nacks == 0 && p.refusing.queue(o.exchange) != ""
		err := p.once(ctx, o)
		switch {
		case err == nil:
		case errors.Is(err, transport.ErrNoQueue):
			p.exchanges.Delete(o.exchange)
			if declared {
				o.giveUp(err)
				continue
			}
			// Deleted underfoot, perhaps: what is ours is made again.
			declared = true
			if ours, redeclareErr := p.t.redeclare(ctx, o.exchange, o.key); !ours || redeclareErr != nil {
				o.giveUp(errors.Join(err, redeclareErr))
			}
		case errors.Is(err, transport.ErrClosed), errors.Is(err, transport.ErrForbidden):
			o.giveUp(err)
		case code(err) == amqp.AccessRefused: // of the exchange, before anything was sent
			o.giveUp(fmt.Errorf("%w: %w", transport.ErrForbidden, err))
		case ctx.Err() != nil:
			o.giveUp(p.explain(err, last))
		case errors.Is(err, transport.ErrRefused):
			if nacks++; nacks == maxNacks || known { // who asks of what has refused before is told at once
				o.giveUp(err)
				continue
			}
			last = err
			sleep(ctx, growing(nackPause, 2*(nacks-1)))
		case o.unanswered >= maxSends:
			o.giveUp(err)
		default:
			last = err
			sleep(ctx, growing(dialPause, breaks))
			breaks++
		}
	}
}

// growing is a pause that doubles up to a second and a half with each step,
// with jitter, since many may wait for the same.
func growing(first time.Duration, steps int) time.Duration {
	d := min(first<<min(steps, 10), 1500*time.Millisecond)
	return d + rand.N(d/2)
}

// once sends what is open. After nil it may have sent a part of that.
func (p *publisher) once(ctx context.Context, o *outgoing) error {
	if err := p.exists(ctx, o.exchange); err != nil {
		return err
	}
	if err := p.stillRefused(ctx, o); err != nil {
		return err
	}
	size := p.link.sizes()
	o.giveUpIf(func(i int) error { return size.tooLarge(o.messages[i]) })
	together, singly := o.split(size.proven)
	if err := p.send(ctx, o, together); err != nil {
		return err
	}
	for _, i := range singly {
		if size := p.link.sizes(); !o.doubtful && size.proven >= len(o.messages[i].Body) || size.tooLarge(o.messages[i]) != nil {
			continue // something was learned meanwhile: it is decided above
		}
		if err := p.sendAlone(ctx, o, i); err != nil {
			return err
		}
	}
	return nil
}

// send sends messages on a channel that others use as well.
func (p *publisher) send(ctx context.Context, o *outgoing, which []int) error {
	if len(which) == 0 {
		return nil
	}
	s, err := p.write(ctx, o, which, p.shared)
	if errors.Is(err, errNacked) {
		return p.whoRefuses(ctx, o)
	}
	closed, ok := errors.AsType[*closedError](err)
	if !ok {
		return err
	}
	if limit := limitIn(closed.why); limit > 0 {
		p.link.learn(s.lane.conn, func(size *sizes) { size.limit = limit; size.proven = min(size.proven, limit) })
	} else {
		o.doubtful = true
	}
	if o.unanswered++; o.unanswered >= maxSends {
		return err
	}
	return nil // the next sends are told from what was learned
}

// sendAlone sends a message on a channel that no other uses meanwhile: if the
// broker closes the channel, it is for that message.
func (p *publisher) sendAlone(ctx context.Context, o *outgoing, i int) error {
	s, err := p.write(ctx, o, []int{i}, p.single)
	if errors.Is(err, errNacked) {
		return p.whoRefuses(ctx, o)
	}
	body := len(o.messages[i].Body)
	closed, ok := errors.AsType[*closedError](err)
	if !ok {
		if err == nil {
			p.link.learn(s.lane.conn, func(size *sizes) { size.proven = max(size.proven, body) })
		}
		return err
	}
	if limit := limitIn(closed.why); limit > 0 {
		p.link.learn(s.lane.conn, func(size *sizes) { size.limit = limit; size.proven = min(size.proven, limit) })
		err = fmt.Errorf("%w: %w", transport.ErrTooLarge, closed.why)
	} else {
		err = fmt.Errorf("%w: %w", transport.ErrUnpublishable, closed.why)
	}
	o.giveUpIf(func(n int) error {
		if n != i {
			return nil
		}
		return err
	})
	return nil
}

// write writes messages to a lane and waits for the broker's word. What it
// confirms is not open any more.
func (p *publisher) write(ctx context.Context, o *outgoing, which []int, lanes chan<- request) (*sent, error) {
	messages := o.messages
	if len(which) < len(messages) {
		messages = make([]amqp.Publishing, len(which))
		for n, i := range which {
			messages[n] = o.messages[i]
		}
	}
	s, err := p.deliver(ctx, lanes, o.exchange, o.key, messages)
	switch {
	case s == nil:
		return nil, err
	case errors.Is(err, transport.ErrNoQueue):
		return s, err // one of them was sent back, nobody knows which
	case err == nil && len(which) == len(o.open):
		o.open = o.open[:0]
		return s, nil
	case errors.Is(err, errUnanswered):
		o.unanswered++
	}
	confirmed := map[int]bool{}
	for n, c := range s.confirmations {
		if c.Acked() {
			confirmed[which[n]] = true
		}
	}
	o.keepOpen(func(i int) bool { return !confirmed[i] })
	return s, err
}

// deliver gives messages to a lane and waits for the broker's word. Without a
// lane's answer nothing is known, and sent is nil.
func (p *publisher) deliver(ctx context.Context, lanes chan<- request, exchange, key string, messages []amqp.Publishing) (*sent, error) {
	answer := make(chan *sent, 1)
	select {
	case lanes <- request{exchange, key, messages, answer}:
	case <-p.link.ctx.Done():
		return nil, transport.ErrClosed
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	select {
	case s := <-answer:
		err := s.wait(ctx)
		return s, err
	case <-p.link.ctx.Done():
		return nil, transport.ErrClosed
	case <-ctx.Done(): // the lane is stuck in writing
		return nil, ctx.Err()
	}
}
