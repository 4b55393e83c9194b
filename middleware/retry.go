package middleware

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"time"

	"github.com/ThreeDotsLabs/watermill/message"

	"github.com/answerfeed/answerfeed/app/event"
	"github.com/answerfeed/answerfeed/app/failure"
	"github.com/answerfeed/answerfeed/internal/crashpoint"
	"github.com/answerfeed/answerfeed/internal/transport"
)

// errInterrupted is the error of an attempt that the worker's stop or an outage of
// a dependency cut short. Such an attempt is not counted and is no failure.
var errInterrupted = errors.New("interrupted")

// jitter is the share by which a pause is made shorter or longer at random, so
// that messages that failed together are not retried together.
const jitter = 0.2

// Retry makes the quick attempts. It stops when an attempt succeeds, when the
// failure is permanent, when the attempts are used up, or when the failure asks for
// a delay longer than the next pause. Retry returns a [failure.Verdict], transient
// or permanent, or errInterrupted; after a failure the message's metadata has the
// number of attempts and the times of failure.
//
// It replaces Watermill's Retry, whose ShouldRetry doubles the backoff a second
// time, and which does not distinguish an interruption from a failure.
func Retry(s Settings) message.HandlerMiddleware {
	return func(next message.HandlerFunc) message.HandlerFunc {
		return func(m *message.Message) ([]*message.Message, error) {
			before := transport.Count(m, transport.KeyAttempts)
			for n, pause := 1, s.Backoff; ; n, pause = n+1, 2*pause {
				out, err := next(m)
				if err == nil {
					crashpoint.At(crashpoint.Committed)
					return out, nil
				}
				if err := s.retryAfter(m, err, n, before, pause); err != nil {
					return nil, err
				}
			}
		}
	}
}

// retryAfter waits for the pause and returns nil when another attempt follows.
func (s *Settings) retryAfter(m *message.Message, err error, n, before int, pause time.Duration) error {
	ctx := m.Context()
	if errors.Is(err, errInterrupted) {
		return err
	}
	if ctx.Err() != nil {
		return interrupted(err)
	}
	verdict := s.judge(err)
	s.Metrics.failed(s, verdict.Reason)
	if verdict.Kind == failure.KindPermanent || n >= s.Attempts || verdict.RetryAfter > pause || s.Quarantine.shut() {
		noteFailure(m, before+n)
		return verdict
	}
	s.Logger.DebugContext(ctx, "attempt failed; trying again", "attempt", before+n, "reason", string(verdict.Reason), "error", err)
	if !sleep(ctx, max(spread(pause), verdict.RetryAfter)) {
		return interrupted(err)
	}
	return nil
}

// interrupted keeps only the text of err, because the outer middleware would act
// on a verdict in it.
func interrupted(err error) error { return fmt.Errorf("%w: %s", errInterrupted, err.Error()) }

// judge resolves unknown errors by the handler's configuration. It replaces a
// reason that is not a single word, such as a whole error text, because the reason
// becomes a metric's label.
func (s *Settings) judge(err error) *failure.Verdict {
	v := failure.Classify(err)
	if !event.ValidName(string(v.Reason)) {
		v.Reason = failure.Unknown
	}
	if v.Kind == failure.KindUnknown {
		v.Kind = failure.KindPermanent
		if s.RetryUnknown {
			v.Kind = failure.KindTransient
		}
	}
	return v
}

func noteFailure(m *message.Message, attempts int) {
	now := time.Now()
	transport.SetCount(m, transport.KeyAttempts, attempts)
	if transport.Time(m, transport.KeyFirstFailedAt).IsZero() {
		transport.SetTime(m, transport.KeyFirstFailedAt, now)
	}
	transport.SetTime(m, transport.KeyLastFailedAt, now)
}

func spread(d time.Duration) time.Duration {
	return time.Duration(float64(d) * (1 - jitter + 2*jitter*rand.Float64()))
}

// sleep returns false when ctx ends first.
func sleep(ctx context.Context, d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-ctx.Done():
		return false
	}
}
