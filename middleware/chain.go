package middleware

import (
	"context"
	"log/slog"
	"time"

	"github.com/ThreeDotsLabs/watermill/message"
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

	Redeliverer Redeliverer
	LetterBox   LetterBox
	Metrics     *Metrics
	Logger      *slog.Logger
}

// Chain is the middleware of one handler, outermost first.
func Chain(s Settings) []message.HandlerMiddleware {
	begin := []message.HandlerMiddleware{Correlation(s), s.Metrics.Middleware(s)}
	end := []message.HandlerMiddleware{Timeout(s), Recover, Limits}
	if s.AtMostOnce {
		return append(append(begin, AtMostOnce(s)), end...)
	}
	return append(append(begin, DeadLetter(s), Redeliver(s), Retry(s)), end...)
}
