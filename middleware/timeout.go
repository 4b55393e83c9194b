package middleware

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"runtime/pprof"
	"sync/atomic"
	"time"

	"github.com/ThreeDotsLabs/watermill/message"

	"github.com/answerfeed/answerfeed/app/failure"
)

// abandonAfter is how long an attempt may run after its context has ended.
const abandonAfter = 5 * time.Second

// Timeout ends the context of an attempt after Settings.Timeout, or when the
// message's context ends. An attempt that still runs 5 s later is abandoned: the
// message counts as timed out, and effects of the abandoned attempt may appear
// beside those of the next one. While the handler is in [Quarantine], no attempt
// begins.
func Timeout(s Settings) message.HandlerMiddleware {
	abandoned := s.Metrics.abandoned.WithLabelValues(s.Handler, s.Topic)
	label := handlerLabels(s.Handler)
	return func(next message.HandlerFunc) message.HandlerFunc {
		return func(m *message.Message) ([]*message.Message, error) {
			trial := false
			if s.Quarantine.shut() {
				var err error
				if trial, err = s.Quarantine.enter(m.Context(), time.Until(s.holdUntil(m.Context())), s.Stopping); err != nil {
					return nil, interrupted(err)
				}
			}
			// Not a child of the message's context, which is watched below:
			// entering each attempt there took a tenth of a drain's time.
			ctx, cancel := context.WithTimeout(context.WithoutCancel(m.Context()), s.Timeout)
			defer cancel()
			// The attempt has a message of its own: one that is abandoned
			// must not share what is changed after it.
			attempt := &message.Message{UUID: m.UUID, Metadata: m.Metadata, Payload: m.Payload}
			attempt.SetContext(ctx)
			done := make(chan result, 1)
			var left atomic.Bool // set by the first of the two that leaves the other
			go func() {
				pprof.SetGoroutineLabels(label)
				r := result{err: &failure.Panicked{Value: "runtime.Goexit", Stack: "the handler ended its goroutine"}}
				defer func() { // runs after runtime.Goexit, too
					done <- r
					if !left.CompareAndSwap(false, true) {
						abandoned.Dec()
						s.Quarantine.attemptEnded()
					}
				}()
				r.out, r.err = next(attempt)
			}()
			var r result
			ok := true
			select {
			case r = <-done:
			case <-ctx.Done():
				r, ok = waitLate(done, &left)
			case <-m.Context().Done():
				cancel()
				r, ok = waitLate(done, &left)
			}
			if ok {
				if trial {
					s.Quarantine.trialPassed()
				}
				return r.withCause(ctx)
			}
			abandoned.Inc()
			s.Quarantine.attemptAbandoned(trial)
			m.Metadata = maps.Clone(m.Metadata)
			return nil, s.timedOut(m, ctx.Err())
		}
	}
}

// waitLate waits for abandonAfter for an attempt whose time is up. It returns false
// when the attempt is abandoned.
func waitLate(done <-chan result, left *atomic.Bool) (result, bool) {
	patient := time.NewTimer(abandonAfter)
	defer patient.Stop()
	select {
	case r := <-done:
		return r, true
	case <-patient.C:
	}
	if !left.CompareAndSwap(false, true) { // it has ended just now
		return <-done, true
	}
	return result{}, false
}

func (s *Settings) timedOut(m *message.Message, why error) error {
	s.Logger.ErrorContext(m.Context(), "the handler ignores the end of its context; the attempt counts as timed out while it still runs",
		"timeout", s.Timeout.String())
	return fmt.Errorf("the attempt still ran %s after its context ended: %w", abandonAfter, why)
}

// result is what an attempt returned.
type result struct {
	out []*message.Message
	err error
}

// withCause adds the context's error to an error that the handler returned after
// its context had ended: libraries often report such an error without its cause.
func (r result) withCause(ctx context.Context) ([]*message.Message, error) {
	if r.err != nil && ctx.Err() != nil && !errors.Is(r.err, ctx.Err()) {
		r.err = fmt.Errorf("%w (%w)", r.err, ctx.Err())
	}
	return r.out, r.err
}
