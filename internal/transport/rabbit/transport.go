package rabbit

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/ThreeDotsLabs/watermill/message"
	amqp "github.com/rabbitmq/amqp091-go"
	"golang.org/x/sync/singleflight"

	"github.com/answerfeed/answerfeed/internal/transport"
	"github.com/answerfeed/answerfeed/internal/transport/inflight"
)

// declareEvery is how often the queues are declared again while the worker
// runs, and queues of older workers are looked for.
const declareEvery = time.Hour

// moveWithin is how long moving a message may take once its consumer is
// closing.
const moveWithin = 3 * time.Second

// Transport is RabbitMQ as a [transport.Transport].
type Transport struct {
	cfg                   Config
	publishing, consuming *link
	publisher             *publisher
	tags                  consumerTags
	pings                 singleflight.Group

	mu     sync.Mutex
	subs   []transport.Subscription   // as Migrate was given them
	beyond map[string][]time.Duration // by queue: delays beyond the schedule that have a delay queue
	// declaring is held by who declares such a delay queue: nobody publishes to
	// it before it is written down.
	declaring chan struct{}

	consumers inflight.Set
	movers    movers
	quorum    quorum
	deaths    *deaths
	outlived  *outlived
	closes    *closes

	cancel context.CancelFunc
	kept   chan struct{} // keep has ended
}

var _ transport.Transport = (*Transport)(nil)

// New connects to the broker: one connection to publish, one to consume.
func New(ctx context.Context, cfg Config) (*Transport, error) {
	if err := cfg.complete(); err != nil {
		return nil, fmt.Errorf("AMQP transport: %w", err)
	}
	t := &Transport{
		cfg: cfg, subs: slices.Clone(cfg.Subscriptions), beyond: map[string][]time.Duration{}, declaring: make(chan struct{}, 1),
		outlived: newOutlived(), kept: make(chan struct{}),
	}
	var err error
	if t.deaths, err = newDeaths(cfg.Logger, cfg.Registry); err != nil {
		return nil, fmt.Errorf("AMQP transport: %w", err)
	}
	if t.closes, err = newCloses(cfg.Registry); err != nil {
		return nil, fmt.Errorf("AMQP transport: %w", err)
	}
	if t.publishing, err = newLink(ctx, cfg, "publishing"); err != nil {
		return nil, fmt.Errorf("AMQP transport: %w", err)
	}
	if t.consuming, err = newLink(ctx, cfg, "consuming"); err != nil {
		t.publishing.close()
		return nil, fmt.Errorf("AMQP transport: %w", err)
	}
	t.publisher = newPublisher(t, t.publishing)
	life, cancel := context.WithCancel(context.WithoutCancel(ctx))
	t.cancel = cancel
	t.movers.life = life
	t.quorum.link, t.quorum.also = t.consuming, t.publishing
	t.quorum.start(life)
	go t.keep(life)
	return t, nil
}

// Migrate declares exchanges, queues and bindings.
func (t *Transport) Migrate(ctx context.Context, subs []transport.Subscription) error {
	t.know(subs)
	if err := t.declareAll(ctx, subs); err != nil {
		return err
	}
	return t.checkServer(ctx, subs)
}

// know remembers subscriptions: what of them is deleted underfoot is declared
// again.
func (t *Transport) know(subs []transport.Subscription) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, s := range subs {
		t.subs = slices.DeleteFunc(t.subs, func(known transport.Subscription) bool { return known.Queue() == s.Queue() })
		t.subs = append(t.subs, s)
	}
}

// known are the subscriptions that pass the test.
func (t *Transport) known(test func(transport.Subscription) bool) []transport.Subscription {
	t.mu.Lock()
	defer t.mu.Unlock()
	return slices.DeleteFunc(slices.Clone(t.subs), func(s transport.Subscription) bool { return !test(s) })
}

// delays are those of the subscription that have a delay queue, as far as this
// process knows.
func (t *Transport) delays(s transport.Subscription) []time.Duration {
	t.mu.Lock()
	defer t.mu.Unlock()
	return distinct(append(slices.Clone(s.Delays), t.beyond[t.cfg.Prefix+s.Queue()]...))
}

// Check reports the first queue of the subscriptions that does not exist, and
// the first right that is missing.
func (t *Transport) Check(ctx context.Context, subs []transport.Subscription) error {
	t.know(subs)
	for _, s := range subs {
		queue := t.cfg.Prefix + s.Queue()
		names := []string{queue, deadName(queue), lettersName(queue), heldName(queue)}
		for _, d := range distinct(s.Delays) {
			names = append(names, delayName(queue, d))
		}
		for _, name := range names {
			if _, there, err := t.consuming.inspect(ctx, name); err != nil {
				return err
			} else if !there {
				return fmt.Errorf("queue %s does not exist; run `worker migrate`", name)
			}
		}
	}
	return t.checkServer(ctx, subs)
}

// checkServer looks at what of the broker's settings the worker depends on.
func (t *Transport) checkServer(ctx context.Context, subs []transport.Subscription) error {
	if err := t.checkRights(ctx, subs); err != nil {
		return err
	}
	t.checkPolicies(ctx, subs)
	return nil
}

// keep declares the queues again from time to time.
func (t *Transport) keep(ctx context.Context) {
	defer close(t.kept)
	tick := time.NewTicker(declareEvery)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		all := t.known(func(transport.Subscription) bool { return true })
		if err := t.declareAll(ctx, all); err != nil && ctx.Err() == nil {
			t.cfg.Logger.Error("the queues could not be declared again", "error", err)
		}
		t.checkPolicies(ctx, all)
	}
}

// redeclare makes again what a route needs, when it is ours.
func (t *Transport) redeclare(ctx context.Context, exchange, key string) (ours bool, err error) {
	subs := t.known(func(s transport.Subscription) bool {
		queue := t.cfg.Prefix + s.Queue()
		return t.cfg.Prefix+s.Topic == exchange || queue == key || strings.HasPrefix(key, queue+".")
	})
	if len(subs) == 0 {
		return t.bindOther(ctx, exchange, key)
	}
	return true, t.declareAgain(ctx, subs)
}

// declareAgain makes queues that were deleted underfoot, after a moment: a
// broker's channel that finds its queue there again before it has told its
// consumer of the deletion consumes the new one without a word, takes its
// first messages for ones that it has seen, and never delivers them.
func (t *Transport) declareAgain(ctx context.Context, subs []transport.Subscription) error {
	const moment = 300 * time.Millisecond
	sleep(ctx, moment)
	return t.declareAll(ctx, subs)
}

// bindOther binds a queue that is there and cannot be reached by its name: an
// older worker has made it for a handler that this program does not have.
func (t *Transport) bindOther(ctx context.Context, exchange, key string) (bound bool, err error) {
	byName := t.cfg.Prefix + queuesExchange
	if exchange != byName || !transport.IsQueue(key) || len(key) > maxShort {
		return false, nil
	}
	if _, there, err := t.consuming.inspect(ctx, key); !there || err != nil {
		return false, nil //nolint:nilerr // RabbitMQ 4.3 lets nobody ask for what is not his: then it is not there for him
	}
	return true, t.consuming.onChannel(ctx, func(ch *amqp.Channel) error {
		return errors.Join(declareByName(ch, byName), bindByName(ch, key, byName))
	})
}

// Publisher returns the shared publisher.
func (t *Transport) Publisher() message.Publisher { return t.publisher }

// Redeliver publishes the message to the delay queue from which it comes back.
func (t *Transport) Redeliver(ctx context.Context, m *message.Message, delay time.Duration) error {
	c, err := claimOf(m)
	if err != nil {
		return err
	}
	s := c.consumer.cfg.Subscription
	delay = roundDelay(s.Delays, delay)
	if !slices.Contains(s.Delays, delay) {
		if err := t.declareDelay(ctx, s, delay); err != nil {
			return err
		}
	}
	return t.move(ctx, c, m, delayName(t.cfg.Prefix+s.Queue(), delay))
}

// DeadLetter publishes the message to where letters of its handler rest.
func (t *Transport) DeadLetter(ctx context.Context, m *message.Message) error {
	c, err := claimOf(m)
	if err != nil {
		return err
	}
	return t.move(ctx, c, m, lettersName(t.cfg.Prefix+c.consumer.cfg.Queue()))
}

func claimOf(m *message.Message) (*claim, error) {
	d, _ := transport.DeliveryOf(m)
	c, ok := d.Claim.(*claim)
	if !ok || c.consumer.cfg.AtMostOnce {
		return nil, errors.New("moving a message: it was not delivered by this transport with at-least-once")
	}
	if c.lost() {
		return nil, fmt.Errorf("moving a message: %w", transport.ErrClaimLost)
	}
	return c, nil
}

func (t *Transport) move(ctx context.Context, c *claim, m *message.Message, queue string) error {
	ctx, cancel := context.WithTimeout(ctx, t.cfg.PublishTimeout)
	defer cancel()
	// A worker that is told to stop does not wait long for a broker that takes
	// nothing: the message goes back as it came.
	stop := context.AfterFunc(c.consumer.intake, func() { time.AfterFunc(moveWithin, cancel) })
	defer stop()
	if m.Metadata.Get(transport.KeyReturns) != "" { // counted for an attempt that came to its end
		m = m.Copy()
		delete(m.Metadata, transport.KeyReturns)
	}
	if err := t.publisher.publish(ctx, t.cfg.Prefix+queuesExchange, queue, []*message.Message{m}); err != nil {
		return fmt.Errorf("moving a message to %s: %w", queue, err)
	}
	return nil
}

// Ping asks the broker to open a channel, and fails when its node was last
// seen not to serve its queues. One asks at a time, and the others wait for its
// answer: a broker that hangs gives none for a while.
func (t *Transport) Ping(ctx context.Context) error {
	if err := t.quorum.err(); err != nil {
		return err
	}
	if _, err := t.consuming.get(ctx); err != nil {
		return fmt.Errorf("asking the broker: %w", err)
	}
	answer := t.pings.DoChan("", func() (any, error) {
		return nil, t.consuming.onChannel(t.consuming.ctx, func(*amqp.Channel) error { return nil })
	})
	select {
	case a := <-answer:
		return a.Err
	case <-ctx.Done():
		return fmt.Errorf("asking the broker: %w", ctx.Err())
	}
}

// Close closes what still consumes, with the grace that it has, and then the
// connections.
func (t *Transport) Close() error {
	t.consumers.Close()
	t.cancel()
	<-t.kept
	t.movers.wait()
	var links sync.WaitGroup // each may have to be broken off
	links.Go(t.publishing.close)
	links.Go(t.consuming.close)
	links.Wait()
	t.quorum.all.Wait()
	for _, ended := range t.publisher.ended {
		<-ended
	}
	return nil
}
