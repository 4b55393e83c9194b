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

// abandonAfter is how long an attempt may go on after its context has ended.
const abandonAfter = 5 * time.Second

// Timeout ends the context of an attempt when its time is up, or with the
// message's own. An attempt that ignores this and still runs 5 s later is
// abandoned: it is settled as timed out, and what it does later may take
// effect beside the next attempt. Of a handler in [Quarantine] no attempt
// begins.
func Timeout(s Settings) message.HandlerMiddleware {
	abandoned := s.Metrics.abandoned.WithLabelValues(s.Handler, s.Topic)
	label := labelled(s.Handler)
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
			var left atomic.Bool // set by whichever of the two gives up first
			go func() {
				pprof.SetGoroutineLabels(label)
				r := result{err: &failure.Panicked{Value: "runtime.Goexit", Stack: "the handler ended its goroutine"}}
				defer func() { // Goexit comes through here, too
					done <- r
					if !left.CompareAndSwap(false, true) {
						abandoned.Dec()
						s.Quarantine.comeBack()
					}
				}()
				r.out, r.err = next(attempt)
			}()
			var r result
			ok := true
			select {
			case r = <-done:
			case <-ctx.Done():
				r, ok = late(done, &left)
			case <-m.Context().Done():
				cancel()
				r, ok = late(done, &left)
			}
			if ok {
				if trial {
					s.Quarantine.passed()
				}
				return r.of(ctx)
			}
			abandoned.Inc()
			s.Quarantine.abandon(trial)
			m.Metadata = maps.Clone(m.Metadata)
			return nil, s.abandoned(m, ctx.Err())
		}
	}
}

// late waits for an attempt whose time is up; false: it is abandoned.
func late(done <-chan result, left *atomic.Bool) (result, bool) {
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

func (s *Settings) abandoned(m *message.Message, why error) error {
	s.Logger.ErrorContext(m.Context(), "the handler ignores its context; settled as timed out while it still runs",
		"timeout", s.Timeout.String())
	return fmt.Errorf("the attempt went on %s after its end: %w", abandonAfter, why)
}

// result is what an attempt returned.
type result struct {
	out []*message.Message
	err error
}

// of says of an error that came after the attempt's end that the end is its
// cause, which the handler's libraries may have kept to themselves.
func (r result) of(ctx context.Context) ([]*message.Message, error) {
	if r.err != nil && ctx.Err() != nil && !errors.Is(r.err, ctx.Err()) {
		r.err = fmt.Errorf("%w (%w)", r.err, ctx.Err())
	}
	return r.out, r.err
}
