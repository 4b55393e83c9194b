package middleware

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"runtime"
	"testing"
	"testing/synctest"
	"time"

	"github.com/ThreeDotsLabs/watermill/message"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
	"github.com/stretchr/testify/require"

	"github.com/answerfeed/answerfeed/app/failure"
)

const (
	attemptTime = time.Second
	patience    = 5 * time.Second
)

// timeoutRig is the middleware alone, for a bubble of synctest.
type timeoutRig struct {
	Settings
	log bytes.Buffer
}

func newTimeoutRig(t *testing.T) *timeoutRig {
	t.Helper()
	metrics, err := NewMetrics(prometheus.NewRegistry())
	require.NoError(t, err)
	r := &timeoutRig{}
	r.Settings = Settings{Handler: "feed", Topic: "answer-added", Timeout: attemptTime, Metrics: metrics,
		Logger: slog.New(slog.NewTextHandler(&r.log, nil))}
	return r
}

func (r *timeoutRig) handle(ctx context.Context, h func(ctx context.Context) error) error {
	m := message.NewMessage("u1", []byte("{}"))
	m.SetContext(ctx)
	_, err := Timeout(r.Settings)(func(m *message.Message) ([]*message.Message, error) {
		return nil, h(m.Context())
	})(m)
	return err
}

func (r *timeoutRig) abandoned() float64 {
	return testutil.ToFloat64(r.Metrics.abandoned.WithLabelValues("feed", "answer-added"))
}

func TestTimeout_EndsTheContextInTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r, start := newTimeoutRig(t), time.Now()
		err := r.handle(t.Context(), func(ctx context.Context) error {
			<-ctx.Done()
			return ctx.Err()
		})
		require.ErrorIs(t, err, context.DeadlineExceeded)
		require.Equal(t, attemptTime, time.Since(start))
		require.Zero(t, r.abandoned())
	})
}

func TestTimeout_LeavesAQuickAttemptAlone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newTimeoutRig(t)
		require.NoError(t, r.handle(t.Context(), func(context.Context) error { return nil }))
		own := errors.New("own")
		require.Equal(t, own, r.handle(t.Context(), func(context.Context) error { return own }))
	})
}

// Whatever a handler makes of the end of its time, the attempt has timed out,
// which heals by itself; unless the handler gives a verdict.
func TestTimeout_ErrorsAfterTheEndAreTimeouts(t *testing.T) {
	tests := map[string]struct {
		err    error
		kind   failure.Kind
		reason failure.Reason
	}{
		"without a trace of it": {errors.New("operation was cancelled"), failure.KindTransient, failure.Timeout},
		"as cancelled":          {context.Canceled, failure.KindTransient, failure.Timeout},
		"a verdict":             {failure.Permanent(failure.Rejected, errors.New("no")), failure.KindPermanent, failure.Rejected},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				err := newTimeoutRig(t).handle(t.Context(), func(ctx context.Context) error {
					<-ctx.Done()
					return test.err
				})
				require.ErrorIs(t, err, test.err)
				verdict := failure.Classify(err)
				require.Equal(t, test.kind, verdict.Kind)
				require.Equal(t, test.reason, verdict.Reason)
			})
		})
	}
}

func TestTimeout_SuccessAfterTheEndIsSuccess(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newTimeoutRig(t)
		require.NoError(t, r.handle(t.Context(), func(ctx context.Context) error {
			<-ctx.Done()
			<-time.After(patience - 1)
			return nil
		}))
		require.Zero(t, r.abandoned())
	})
}

func TestTimeout_AbandonsWhatIgnoresItsContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r, start, goOn := newTimeoutRig(t), time.Now(), make(chan struct{})
		err := r.handle(t.Context(), func(context.Context) error {
			<-goOn
			return nil
		})
		require.Equal(t, attemptTime+patience, time.Since(start))
		require.Equal(t, failure.Timeout, failure.Classify(err).Reason)
		require.Contains(t, r.log.String(), "ignores the end of its context")
		require.EqualValues(t, 1, r.abandoned())
		close(goOn)
		synctest.Wait()
		require.Zero(t, r.abandoned(), "it came back")
	})
}

func TestTimeout_AbandonedMessageIsSharedWithNobody(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r, goOn := newTimeoutRig(t), make(chan struct{})
		m := message.NewMessage("u1", []byte("{}"))
		_, err := Timeout(r.Settings)(func(m *message.Message) ([]*message.Message, error) {
			<-goOn
			m.Metadata.Set("late", "yes")
			return nil, nil
		})(m)
		require.Error(t, err)
		m.Metadata.Set("settled", "yes")
		close(goOn)
		synctest.Wait()
		require.Equal(t, message.Metadata{"settled": "yes"}, m.Metadata)
	})
}

// An attempt that was interrupted has its patience as well: its effect may be
// about to commit.
func TestTimeout_MessageContextEndsTheAttempt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newTimeoutRig(t)
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		start := time.Now()
		err := r.handle(ctx, func(ctx context.Context) error { <-ctx.Done(); return ctx.Err() })
		require.ErrorIs(t, err, context.Canceled)
		require.Zero(t, time.Since(start))
		err = r.handle(ctx, func(context.Context) error { <-time.After(patience + 1); return nil })
		require.ErrorIs(t, err, context.Canceled)
		require.Equal(t, patience, time.Since(start))
		<-time.After(1)
		synctest.Wait()
		require.Zero(t, r.abandoned())
	})
}

func TestTimeout_AnAttemptWhoseGoroutineExitsHasPanicked(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r, start := newTimeoutRig(t), time.Now()
		err := r.handle(t.Context(), func(context.Context) error { runtime.Goexit(); return nil })
		require.Zero(t, time.Since(start), "at once")
		require.Equal(t, failure.Panic, failure.Classify(err).Reason)
		require.ErrorContains(t, err, "Goexit")
		require.Zero(t, r.abandoned())
	})
}
