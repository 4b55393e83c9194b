package middleware

import (
	"context"
	"log/slog"
	"time"

	"github.com/ThreeDotsLabs/watermill/message"

	"github.com/answerfeed/answerfeed/internal/transport"
)

// Redeliverer moves a message back to its own queue, from where it is delivered
// again after a delay. It returns nil when that is stored durably.
type Redeliverer interface {
	Redeliver(ctx context.Context, m *message.Message, delay time.Duration) error
}

// DeadLetterer moves a message to the dead letters, where people deal with it. It
// returns nil when that is stored durably.
type DeadLetterer interface {
	DeadLetter(ctx context.Context, m *message.Message) error
}

// Settings are one handler's, on one topic.
type Settings struct {
	Handler, Topic string
	// AtMostOnce: the message leaves its queue before its only attempt.
	AtMostOnce bool
	// Timeout bounds one attempt. Over 0.
	Timeout time.Duration
	// RetryUnknown makes an error without a verdict transient. By default it is
	// permanent.
	RetryUnknown bool
	// Attempts is the number of quick attempts in this process, at least 1.
	// Backoff is the pause after the first; it doubles with each attempt and has
	// jitter of 20 %.
	Attempts int
	Backoff  time.Duration
	// Redeliver holds the delays of the durable redeliveries that follow the
	// quick attempts. Empty = none.
	Redeliver []time.Duration

	// Hold is how long a message may wait in all, from its delivery, before it
	// goes back to its queue. Defaults to 5 min.
	Hold time.Duration
	// Quarantine is shared by the handler's topics. nil = the handler is never
	// quarantined.
	Quarantine *Quarantine
	// Dependencies are the services that the handler needs. nil = none.
	Dependencies Dependencies

	// Stopping is closed when the worker begins to stop. Messages that wait then
	// go back to their queue. nil = the worker never stops.
	Stopping <-chan struct{}
	// Suspects finds the messages that kill the process. nil = no message is
	// suspected.
	Suspects Suspects
	// Isolation is shared by all handlers. Defaults to one for this handler.
	Isolation *Isolation
	// Prefix is the transport's prefix. It tells queues of the same name apart
	// when two transports share a database.
	Prefix string

	Redeliverer  Redeliverer
	DeadLetterer DeadLetterer
	Metrics      *Metrics
	Logger       *slog.Logger
}

// queue is the queue's name in the database.
func (s *Settings) queue() string {
	return s.Prefix + transport.Subscription{Topic: s.Topic, Handler: s.Handler}.Queue()
}

// Chain returns the middleware of one handler on one topic, outermost first.
//
// What a middleware does about a failure is in a method of its own. This keeps the
// stack frames small, so that all of them fit into a goroutine's initial stack: the
// router starts a goroutine for each message, and growing its stack costs time.
func Chain(s Settings) []message.HandlerMiddleware {
	begin := []message.HandlerMiddleware{Correlation(s), s.Metrics.Middleware(s)}
	end := []message.HandlerMiddleware{Outage(s), Timeout(s), Recover, Limits}
	if s.AtMostOnce {
		return append(append(begin, AtMostOnce(s), WaitForIsolation(s)), end...)
	}
	return append(append(begin, DeadLetter(s), Redeliver(s), CrashLoopGuard(s), Retry(s)), end...)
}
