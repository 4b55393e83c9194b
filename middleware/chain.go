package middleware

import (
	"context"
	"log/slog"
	"time"

	"github.com/ThreeDotsLabs/watermill/message"

	"github.com/answerfeed/answerfeed/internal/transport"
)

// Redeliverer puts a message back to its own queue, to come again after a
// delay.
type Redeliverer interface {
	Redeliver(ctx context.Context, m *message.Message, delay time.Duration) error
}

// LetterBox puts a message where a person will look at it.
type LetterBox interface {
	DeadLetter(ctx context.Context, m *message.Message) error
}

// Settings are one handler's, on one topic.
type Settings struct {
	Handler, Topic string
	// AtMostOnce: the message is off its queue already; one attempt.
	AtMostOnce bool
	// Timeout bounds one attempt. Over 0.
	Timeout time.Duration
	// RetryUnknown treats an error without a verdict as transient. Else it is
	// permanent.
	RetryUnknown bool
	// Attempts in process, at least 1. Backoff is the pause after the first,
	// doubling, with jitter.
	Attempts int
	Backoff  time.Duration
	// Redeliver are the delays of the durable redeliveries that follow.
	Redeliver []time.Duration

	// Hold is how long a message may wait, for all that it waits for together,
	// before it goes back to its queue. Defaults to 5 min.
	Hold time.Duration
	// Quarantine is the handler's. nil = it is never put into one.
	Quarantine *Quarantine
	// Dependencies are what the handler needs. nil = nothing.
	Dependencies Dependencies

	// Stopping is closed when the worker begins to stop: what merely waits is
	// then given back. nil = it never stops.
	Stopping <-chan struct{}
	// Suspects find out what kills the process. nil = nothing does.
	Suspects Suspects
	// Isolation is shared by all handlers. Defaults to one of this handler.
	Isolation *Isolation
	// Prefix is the transport's: two that share a database have queues of the
	// same name.
	Prefix string

	Redeliverer Redeliverer
	LetterBox   LetterBox
	Metrics     *Metrics
	Logger      *slog.Logger
}

// queue is the name under which the database knows of the queue.
func (s *Settings) queue() string {
	return s.Prefix + transport.Subscription{Topic: s.Topic, Handler: s.Handler}.Queue()
}

// Chain is the middleware of one handler, outermost first. What a middleware
// does about a failure is a method of its own, so that the frames below a
// handler are small: all of them fit into the stack that a goroutine begins
// with, of which the router starts one for each message.
func Chain(s Settings) []message.HandlerMiddleware {
	begin := []message.HandlerMiddleware{Correlation(s), s.Metrics.Middleware(s)}
	end := []message.HandlerMiddleware{Outage(s), Timeout(s), Recover, Limits}
	if s.AtMostOnce {
		return append(append(begin, AtMostOnce(s), Beside(s)), end...)
	}
	return append(append(begin, DeadLetter(s), Redeliver(s), CrashLoopGuard(s), Retry(s)), end...)
}
