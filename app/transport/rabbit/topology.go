package rabbit

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/ThreeDotsLabs/watermill"
	wamqp "github.com/ThreeDotsLabs/watermill-amqp/v2/pkg/amqp"
	amqp "github.com/rabbitmq/amqp091-go"

	"github.com/answerfeed/answerfeed/app/transport"
)

// delayKept is how long a delay queue that no worker uses any more stays
// beyond its delay: long after the last message has left it.
const delayKept = 24 * time.Hour

// maxDelay and delayKept together are less than the 2³² ms that the broker
// can express.
const maxDelay = 45 * 24 * time.Hour

// Topology declares what a handler's queue on a topic needs. It is a
// watermill-amqp TopologyBuilder.
type Topology struct {
	// Delays are the delays of redelivery, a queue each.
	Delays []time.Duration
}

var _ wamqp.TopologyBuilder = Topology{}

// ExchangeDeclare declares the topic's exchange: durable, fanout.
func (t Topology) ExchangeDeclare(ch *amqp.Channel, exchange string, _ wamqp.Config) error {
	return ch.ExchangeDeclare(exchange, amqp.ExchangeFanout, true, false, false, false, nil)
}

// BuildTopology declares the dead queue, the delay queues, the queue and the
// exchange, in this order, and binds the queue: whatever can come into a
// queue finds the ones that it may go to.
func (t Topology) BuildTopology(ch *amqp.Channel, queue, exchange string, config wamqp.Config, _ watermill.LoggerAdapter) error {
	if err := declare(ch, deadName(queue), amqp.Table{"x-queue-type": "quorum"}); err != nil {
		return err
	}
	for _, d := range t.Delays {
		if err := declare(ch, delayName(queue, d), delayArguments(queue, d)); err != nil {
			return err
		}
	}
	// No delivery limit: arguments are permanent, and on 3.10 a limit of -1
	// drops. Newer brokers limit by themselves, and then the message goes to
	// the dead queue.
	if err := declare(ch, queue, deadLettering(deadName(queue))); err != nil {
		return err
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

func declare(ch *amqp.Channel, queue string, arguments amqp.Table) error {
	if _, err := ch.QueueDeclare(queue, true, false, false, false, arguments); err != nil {
		return fmt.Errorf("declaring queue %s: %w", queue, explainDeclare(err))
	}
	return nil
}

// deadLettering are the arguments of a quorum queue whose expired and
// rejected messages go to another queue, and are kept until they are there.
func deadLettering(to string) amqp.Table {
	return amqp.Table{
		"x-queue-type":              "quorum",
		"x-dead-letter-exchange":    "",
		"x-dead-letter-routing-key": to,
		"x-dead-letter-strategy":    "at-least-once",
		"x-overflow":                "reject-publish",
	}
}

// delayArguments make a queue that gives each message back after the delay,
// and goes when no worker has declared it for long.
func delayArguments(queue string, delay time.Duration) amqp.Table {
	a := deadLettering(queue)
	a["x-message-ttl"] = (delay + time.Millisecond - 1).Milliseconds() // never too early
	a["x-expires"] = (delay + delayKept).Milliseconds()
	return a
}

func deadName(queue string) string { return queue + ".dead" }

// delayName is answer-added.feed.retry.5s.
func delayName(queue string, delay time.Duration) string {
	return queue + ".retry." + shortDuration(delay)
}

// shortDuration is time.Duration's text without zero minutes and seconds.
func shortDuration(d time.Duration) string {
	text := d.String()
	for _, zero := range []string{"m0s", "h0m"} {
		if n := len(text) - len(zero) + 1; n > 0 && text[n-1:] == zero {
			text = text[:n]
		}
	}
	return text
}

// roundDelay is the least of the handler's delays that is long enough, or,
// beyond them, the next step of a ladder: so that what a service asks for by
// Retry-After never makes more than a few queues. What is beyond the broker's
// greatest delay comes back before its time.
func roundDelay(delays []time.Duration, want time.Duration) time.Duration {
	best := time.Duration(0)
	for _, d := range delays {
		if d >= want && d > 0 && (best == 0 || d < best) {
			best = d
		}
	}
	if best > 0 {
		return best
	}
	for _, unit := range []time.Duration{time.Second, time.Minute, time.Hour} {
		for _, step := range []time.Duration{unit, 2 * unit, 5 * unit, 10 * unit, 20 * unit, 30 * unit} {
			if step >= want {
				return step
			}
		}
	}
	const day = 24 * time.Hour
	return min((want + day - 1).Truncate(day), maxDelay)
}

// declareAll declares the queues of the subscriptions, each handler's with a
// channel of its own, since an error closes it.
func declareAll(ctx context.Context, l *link, prefix string, subs []transport.Subscription) error {
	fresh := false
	for _, s := range subs {
		queue, delays := prefix+s.Queue(), distinct(s.Delays)
		missing, err := l.missing(ctx, queue, delays)
		if err != nil {
			return fmt.Errorf("declaring queues: %w", err)
		}
		fresh = fresh || missing
		err = l.onChannel(ctx, func(ch *amqp.Channel) error {
			return Topology{Delays: delays}.BuildTopology(ch, queue, prefix+s.Topic, wamqp.Config{}, watermill.NopLogger{})
		})
		if err != nil {
			return fmt.Errorf("declaring queues: %w", err)
		}
	}
	if fresh {
		return writtenDown(ctx)
	}
	return nil
}

// missing reports that not all of a handler's queues are there.
func (l *link) missing(ctx context.Context, queue string, delays []time.Duration) (bool, error) {
	names := []string{queue, deadName(queue)}
	for _, d := range delays {
		names = append(names, delayName(queue, d))
	}
	for _, name := range names {
		if _, there, err := l.inspect(ctx, name); err != nil || !there {
			return true, err
		}
	}
	return false, nil
}

// declareDelay declares a delay queue beyond the schedule.
func declareDelay(ctx context.Context, l *link, queue string, delay time.Duration) error {
	name := delayName(queue, delay)
	_, there, err := l.inspect(ctx, name)
	if err == nil {
		err = l.onChannel(ctx, func(ch *amqp.Channel) error { return declare(ch, name, delayArguments(queue, delay)) })
	}
	if err != nil || there {
		return err
	}
	return writtenDown(ctx)
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

func distinct(delays []time.Duration) []time.Duration {
	return slices.Compact(slices.Sorted(slices.Values(delays)))
}
