// Package transport says what the worker asks of a message broker: types
// alone, for those who use a transport and those who build one.
//
// The one thing to know: with at-least-once delivery a message leaves the
// broker only when it was acknowledged, moved by [Transport.Redeliver], or
// moved by [Transport.DeadLetter]; whatever happens in between, it comes back.
package transport

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/ThreeDotsLabs/watermill/message"

	"github.com/answerfeed/answerfeed/internal/memory"
)

var (
	// ErrNoQueue: the topic has no handler's queue, or the queue named does
	// not exist. The message went nowhere.
	ErrNoQueue = errors.New("nobody listens")
	// ErrClosed: the transport was closed.
	ErrClosed = errors.New("transport closed")
	// ErrClaimLost: the message is no longer this worker's; another has it,
	// or will have it.
	ErrClaimLost = errors.New("the claim on the message has ended")
	// ErrNoPrefix: what would be removed is not set apart by a prefix.
	ErrNoPrefix = errors.New("without a prefix everything would be removed")
)

// Transport is a broker as the worker sees it. It is safe for concurrent use.
type Transport interface {
	// Migrate makes the queues of these subscriptions, and whatever else the
	// transport needs, or brings them up to date. Queues of others stay.
	Migrate(ctx context.Context, subs []Subscription) error
	// Check reports what Migrate would have to make first: the queues of
	// these subscriptions, and whatever else the transport needs.
	Check(ctx context.Context, subs []Subscription) error
	// Prune removes the queues of a handler, with the messages in them, and
	// returns their names.
	Prune(ctx context.Context, handler string) ([]string, error)
	// Readers is how many consumers, or processes with some, read the handler's
	// queues now, this process included.
	Readers(ctx context.Context, handler string) (int, error)
	// Remove takes back all that Migrate made under the transport's prefix for
	// these subscriptions, with the messages in it: queues, exchanges, tables.
	// What is gone already is no error. It is for what was temporary, and
	// returns [ErrNoPrefix] where no prefix sets that apart. Nothing else may
	// be called afterwards but Close.
	Remove(ctx context.Context, subs []Subscription) error

	// Publisher is shared by all; its Close does nothing. Publish takes a
	// topic, for every handler's queue on it, or a queue's name (see
	// [Subscription.Queue]), for that queue alone. It returns nil when the
	// broker has the messages safe, and [ErrNoQueue] when nobody listens. A
	// message that cannot be published stops no other: a [PublishError] tells
	// which are not published, and why; see [Outcomes]. It ends with the
	// context of the first message.
	Publisher() message.Publisher

	// Subscriber reads one queue. See [Consumer].
	Subscriber(c Consumer) (message.Subscriber, error)

	// Redeliver puts a message that its subscriber delivered back to its
	// queue, with the metadata it has now, to be delivered after the delay
	// at the earliest. After nil the message must be acknowledged, which
	// then has no effect of its own.
	Redeliver(ctx context.Context, m *message.Message, delay time.Duration) error
	// DeadLetter moves a message that its subscriber delivered to the dead
	// queue of its handler, with the metadata it has now. After nil the
	// message must be acknowledged.
	DeadLetter(ctx context.Context, m *message.Message) error

	// Backlog counts what is in each handler's queues.
	Backlog(ctx context.Context) ([]Backlog, error)
	// Ping asks the broker for an answer.
	Ping(ctx context.Context) error
	// Close closes what Subscriber returned, then the rest. It may be called
	// more than once.
	Close() error
}

// Subscription is a handler's interest in a topic.
type Subscription struct {
	Topic, Handler string
	// Delays are the delays of redelivery that the handler uses.
	Delays []time.Duration
}

// deadSuffix marks dead queues.
const deadSuffix = ".dead"

// Queue is the name of the handler's queue on the topic: answer-added.feed.
func (s Subscription) Queue() string { return s.Topic + "." + s.Handler }

// DeadQueue is the name of the queue where its dead letters rest.
func (s Subscription) DeadQueue() string { return s.Queue() + deadSuffix }

// IsQueue reports that a name given to Publish is a queue's, not a topic's:
// topics have no dot in them.
func IsQueue(name string) bool { return strings.Contains(name, ".") }

// Consumer says how to read a queue.
//
// The subscriber passes each message to its channel and waits for Ack or
// Nack. A nacked message comes back after a pause, never at once. Close stops
// the intake, lets what is in flight finish for Grace, then cancels the
// contexts of what still runs, gives those messages back to the queue, and
// closes the channel. The context given to Subscribe begins the same.
type Consumer struct {
	Subscription
	// Dead reads the dead queue instead of the queue.
	Dead bool
	// Window is how many messages may be in flight, at least 1.
	Window int
	// AtMostOnce takes messages off the queue before they are passed on.
	AtMostOnce bool
	// Grace is how long Close waits for what is in flight. 0 = not at all.
	Grace time.Duration
	// Gate stops the intake for a while. nil = it never does.
	Gate Gate
	// Hold is how long what the broker has sent ahead is kept behind a closed
	// gate, before it goes back. 0 = 5 min.
	Hold time.Duration
	// Memory is what this and other consumers may hold together. nil = each
	// has a budget of its own, for 64 MiB of payload.
	Memory *memory.Budget
}

// Gate says whether a consumer may take messages in; while it may not, what is
// in flight goes on.
type Gate interface {
	// Open also returns what is closed when the answer may have changed.
	Open() (open bool, changed <-chan struct{})
}

// aloneLimit is the budget of a consumer that shares none: 64 payloads of
// 1 MiB, the largest that an event may have.
const aloneLimit = 64 * (memory.Copies<<20 + memory.Overhead)

// Holder is what the consumer holds its messages by. Close it.
func (c Consumer) Holder() *memory.Holder {
	if c.Memory == nil {
		return memory.NewBudget(aloneLimit).Holder()
	}
	return c.Memory.Holder()
}

// Opened asks the Gate, if there is one.
func (c Consumer) Opened() (open bool, changed <-chan struct{}) {
	if c.Gate == nil {
		return true, nil
	}
	return c.Gate.Open()
}

// Name is the name of the queue that the consumer reads.
func (c Consumer) Name() string {
	if c.Dead {
		return c.DeadQueue()
	}
	return c.Queue()
}

// Validate reports the first thing that no transport can work with.
func (c Consumer) Validate() error {
	if c.Topic == "" || c.Handler == "" {
		return errors.New("a consumer needs a topic and a handler")
	}
	if c.Window < 1 {
		return fmt.Errorf("consumer of %s: a window of %d messages; it takes at least 1", c.Name(), c.Window)
	}
	return nil
}

// Backlog is what waits in a handler's queue on a topic.
type Backlog struct {
	Handler, Topic string
	Ready          int64 // to be delivered now
	InFlight       int64 // delivered and not yet settled, by any worker
	Delayed        int64 // waiting for their time
	Dead           int64 // in the dead queue, not yet on the desk
	// Oldest is the age of the message that is next to be delivered.
	Oldest time.Duration
}
