package middleware_test

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/ThreeDotsLabs/watermill/message"
	"github.com/stretchr/testify/require"

	"github.com/answerfeed/answerfeed/app/failure"
	"github.com/answerfeed/answerfeed/internal/transport"
	"github.com/answerfeed/answerfeed/middleware"
)

var errBoom = errors.New("boom")

func TestRetry_MakesExactlyTheAttemptsThatTheVerdictAllows(t *testing.T) {
	transient := failure.Transient(errBoom)
	tests := map[string]struct {
		change   func(*middleware.Settings)
		errs     []error
		attempts int
		fate     string
	}{
		"success":                              {nil, []error{nil}, 1, "handled"},
		"permanent":                            {nil, []error{failure.Permanent(failure.Rejected, errBoom)}, 1, "letter"},
		"unknown, dead letter":                 {nil, []error{errBoom}, 1, "letter"},
		"unknown, retried":                     {unknownRetried, []error{errBoom}, 3, "redelivered"},
		"unknown, retried, then well":          {unknownRetried, []error{errBoom, nil}, 2, "handled"},
		"permanent, where unknown is retried":  {unknownRetried, []error{failure.Permanent(failure.Rejected, errBoom)}, 1, "letter"},
		"transient":                            {nil, []error{transient}, 3, "redelivered"},
		"transient, then well":                 {nil, []error{transient, transient, nil}, 3, "handled"},
		"transient, then permanent":            {nil, []error{transient, failure.Permanent(failure.Rejected, errBoom)}, 2, "letter"},
		"recognised by its type":               {nil, []error{fmt.Errorf("asking: %w", context.DeadlineExceeded)}, 3, "redelivered"},
		"asks for longer than the pause":       {nil, []error{failure.TransientAfter(errBoom, time.Second)}, 1, "redelivered"},
		"asks for longer than the first pause": {nil, []error{failure.TransientAfter(errBoom, 150*time.Millisecond)}, 1, "redelivered"},
		"asks for less than the pause":         {nil, []error{failure.TransientAfter(errBoom, time.Millisecond)}, 3, "redelivered"},
		"a single attempt":                     {func(s *middleware.Settings) { s.Attempts = 1 }, []error{transient}, 1, "redelivered"},
		"no schedule":                          {redeliver(), []error{transient}, 3, "letter"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r := newRig(t)
				if test.change != nil {
					test.change(&r.Settings)
				}
				h, m := fails(test.errs...), newMessage()
				require.NoError(t, r.handle(m, h.handle), "it is safe, so it is acknowledged")
				require.Equal(t, test.attempts, h.attempts)
				fate := "handled"
				switch {
				case len(r.letters) == 1 && len(r.redelivered) == 0:
					fate = "letter"
				case len(r.letters) == 0 && len(r.redelivered) == 1:
					fate = "redelivered"
				}
				require.Equal(t, test.fate, fate)
				if fate != "handled" {
					require.Equal(t, test.attempts, transport.Count(m, transport.KeyAttempts))
				}
			})
		})
	}
}

func TestRetry_PausesDoubleWithJitter(t *testing.T) {
	const runs = 200
	least, most := map[int]time.Duration{}, map[int]time.Duration{}
	for range runs {
		synctest.Test(t, func(t *testing.T) {
			r := newRig(t, func(s *middleware.Settings) { s.Attempts, s.Backoff = 5, 100*time.Millisecond })
			var before time.Time
			attempt := 0
			require.NoError(t, r.handle(newMessage(), func(*message.Message) error {
				if pause := time.Since(before); attempt > 0 {
					if least[attempt] == 0 || pause < least[attempt] {
						least[attempt] = pause
					}
					most[attempt] = max(most[attempt], pause)
				}
				attempt++
				before = time.Now()
				return failure.Transient(errBoom)
			}))
			require.Equal(t, 5, attempt)
		})
	}
	for n := 1; n <= 4; n++ {
		pause := float64(100*time.Millisecond) * float64(int(1)<<(n-1))
		require.GreaterOrEqual(t, float64(least[n]), pause*0.8, "pause %d", n)
		require.LessOrEqual(t, float64(most[n]), pause*1.2, "pause %d", n)
		require.Greater(t, float64(most[n]-least[n]), pause*0.2, "pause %d has jitter", n)
	}
}

func TestRetry_NeverComesBackBeforeTheTimeThatWasAskedFor(t *testing.T) {
	for range 50 { // jitter may shorten the pause, and must not
		synctest.Test(t, func(t *testing.T) {
			r := newRig(t)
			h, start := fails(failure.TransientAfter(errBoom, r.Backoff), nil), time.Now()
			require.NoError(t, r.handle(newMessage(), h.handle))
			require.Equal(t, 2, h.attempts)
			require.GreaterOrEqual(t, time.Since(start), r.Backoff)
		})
	}
}

// What a stop interrupts is nobody's failure, whatever the handler calls it.
func TestRetry_InterruptedWorkSpendsNoAttempt(t *testing.T) {
	verdicts := map[string]func(error) error{
		"bare":      func(err error) error { return err },
		"wrapped":   func(err error) error { return fmt.Errorf("saving: %w", err) },
		"transient": failure.Transient,
		"permanent": func(err error) error { return failure.Permanent(failure.Rejected, err) },
		"unknown":   func(error) error { return errBoom },
	}
	for name, verdict := range verdicts {
		t.Run(name, func(t *testing.T) {
			r := newRig(t)
			ctx, cancel := context.WithCancel(t.Context())
			m := newMessage()
			m.SetContext(ctx)
			attempts := 0
			err := r.handle(m, func(m *message.Message) error {
				attempts++
				cancel() // the worker's grace is over
				<-m.Context().Done()
				return verdict(m.Context().Err())
			})
			require.ErrorContains(t, err, "interrupted", "the router gives it back")
			require.Equal(t, 1, attempts)
			untouched(t, r, m)
		})
	}
}

func TestRetry_InterruptedPauseSpendsNoAttempt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, func(s *middleware.Settings) { s.Backoff = time.Hour })
		ctx, cancel := context.WithCancel(t.Context())
		m := newMessage()
		m.SetContext(ctx)
		h, done := fails(failure.Transient(errBoom)), make(chan error)
		go func() { done <- r.handle(m, h.handle) }()
		synctest.Wait() // it pauses
		cancel()
		require.ErrorContains(t, <-done, "interrupted")
		require.Equal(t, 1, h.attempts)
		untouched(t, r, m)
	})
}

func untouched(t *testing.T, r *rig, m *message.Message) {
	t.Helper()
	require.Empty(t, r.letters)
	require.Empty(t, r.redelivered)
	require.Zero(t, transport.Count(m, transport.KeyAttempts))
	require.Zero(t, transport.Count(m, transport.KeyRedeliveries))
	require.True(t, transport.Time(m, transport.KeyFirstFailedAt).IsZero())
}

func TestRetry_CountsOnAcrossRedeliveries(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r, m := newRig(t), newMessage()
		first := time.Now()
		for delivery := 1; delivery <= 3; delivery++ {
			require.NoError(t, r.handle(m, fails(failure.Transient(errBoom)).handle))
			require.Equal(t, 3*delivery, transport.Count(m, transport.KeyAttempts))
			require.Equal(t, min(delivery, 2), transport.Count(m, transport.KeyRedeliveries))
			require.WithinDuration(t, first, transport.Time(m, transport.KeyFirstFailedAt), time.Second)
			require.WithinDuration(t, time.Now(), transport.Time(m, transport.KeyLastFailedAt), 0)
			<-time.After(time.Hour) // by the clock of synctest
		}
		require.Len(t, r.redelivered, 2)
		require.Len(t, r.letters, 1, "attempts × (1 + redeliveries), then a letter")
	})
}

// A reason becomes a metric's label, which may not hold just anything: a
// panic there would be outside of Recover.
func TestRetry_AReasonThatIsNoWordCountsAsUnknown(t *testing.T) {
	for _, reason := range []failure.Reason{"", "Not A Word", "\xff", "a\x00"} {
		r := newRig(t)
		require.NoError(t, r.handle(newMessage(), fails(failure.Permanent(reason, errBoom)).handle))
		require.Len(t, r.letters, 1)
		require.Equal(t, string(failure.Unknown), r.letters[0]["reason_poisoned"])
	}
}
