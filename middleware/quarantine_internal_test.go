package middleware

import (
	"context"
	"errors"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/ThreeDotsLabs/watermill/message"
	"github.com/prometheus/client_golang/prometheus/testutil"
	"github.com/stretchr/testify/require"

	"github.com/answerfeed/answerfeed/app/failure"
)

// quarantineRig is a handler whose attempts ignore their context until goOn is
// closed.
type quarantineRig struct {
	*timeoutRig
	q    *Quarantine
	goOn chan struct{}
	exit []error
}

func newQuarantineRig(t *testing.T, exit bool) *quarantineRig {
	r := &quarantineRig{timeoutRig: newTimeoutRig(t), goOn: make(chan struct{})}
	var told func(error)
	if exit {
		told = func(err error) { r.exit = append(r.exit, err) }
	}
	r.q = NewQuarantine("feed", r.Metrics, r.Logger, told)
	r.Quarantine = r.q
	return r
}

func (r *quarantineRig) stick(context.Context) error { <-r.goOn; return nil }

// getStuck begins attempts that are abandoned, and waits until they are.
func (r *quarantineRig) getStuck(t *testing.T, n int) {
	for range n {
		go func() { _ = r.handle(t.Context(), r.stick) }()
	}
	<-time.After(attemptTime + patience)
	synctest.Wait()
}

func (r *quarantineRig) gate() bool {
	open, _ := r.q.Open()
	return open
}

// end lets all come back, and ends the timers.
func (r *quarantineRig) end() {
	close(r.goOn)
	r.q.Close()
	synctest.Wait()
}

func TestQuarantine_ShutsAtAHundredOfOneHandler(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newQuarantineRig(t, false)
		defer r.end()
		other := NewQuarantine("leaderboard", r.Metrics, r.Logger, nil)
		r.getStuck(t, MaxAbandoned-1)
		require.True(t, r.gate(), "one more may be")
		_, changed := r.q.Open()
		r.getStuck(t, 1)
		<-changed
		require.False(t, r.gate())
		require.Equal(t, QuarantineState{Quarantined: true, Since: time.Now(), Stuck: MaxAbandoned}, r.q.State())
		require.EqualValues(t, 1, testutil.ToFloat64(r.Metrics.quarantined.WithLabelValues("feed")))
		require.Zero(t, testutil.ToFloat64(r.Metrics.quarantined.WithLabelValues("leaderboard")))
		open, _ := other.Open()
		require.True(t, open, "the other handler goes on")
		require.Equal(t, 1, strings.Count(r.log.String(), "in quarantine"), "one line")
		require.Contains(t, r.log.String(), "100 goroutines:")
		require.Contains(t, r.log.String(), "(*quarantineRig).stick", "where they are")
		require.Less(t, r.log.Len(), 2*maxStacks+MaxAbandoned*200, "bounded")
	})
}

// What waits spends no attempt: it goes back to its queue, at the stop at once.
func TestQuarantine_WhatWaitsGoesBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newQuarantineRig(t, false)
		defer r.end()
		r.Hold = 20 * time.Second
		r.getStuck(t, MaxAbandoned)
		start := time.Now()
		err := r.handle(t.Context(), func(context.Context) error { return errors.New("it was begun") })
		require.ErrorIs(t, err, errInterrupted)
		require.Equal(t, 20*time.Second, time.Since(start))
		stopping := make(chan struct{})
		close(stopping)
		r.Stopping = stopping
		err = r.handle(t.Context(), func(context.Context) error { return errors.New("it was begun") })
		require.ErrorIs(t, err, errInterrupted)
		require.Equal(t, 20*time.Second, time.Since(start))
	})
}

func TestQuarantine_OpensWhenHalfHaveComeBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newQuarantineRig(t, false)
		defer r.end()
		half := make(chan struct{})
		for range MaxAbandoned / 2 {
			go func() { _ = r.handle(t.Context(), func(context.Context) error { <-half; return nil }) }()
		}
		r.getStuck(t, MaxAbandoned/2)
		require.False(t, r.gate())
		close(half)
		synctest.Wait()
		require.True(t, r.gate())
		require.Equal(t, MaxAbandoned/2, r.q.State().Stuck)
		require.Zero(t, testutil.ToFloat64(r.Metrics.quarantined.WithLabelValues("feed")))
	})
}

// A few are let in after a minute; as long as they get stuck as well, the next
// comes after twice the time, up to 10 minutes.
func TestQuarantine_TriesAFew(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newQuarantineRig(t, false)
		defer r.end()
		r.Hold = 24 * time.Hour
		r.getStuck(t, MaxAbandoned)
		var begun atomic.Int64
		for range 100 { // more wait than are let in
			go func() {
				_ = r.handle(t.Context(), func(ctx context.Context) error { begun.Add(1); return r.stick(ctx) })
			}()
		}
		for i, minutes := range []int{1, 2, 4, 8, 10, 10} {
			<-time.After(time.Duration(minutes)*time.Minute - 1)
			synctest.Wait()
			require.EqualValues(t, i*trials, begun.Load())
			<-time.After(1)
			synctest.Wait()
			require.EqualValues(t, (i+1)*trials, begun.Load())
			require.False(t, r.gate(), "the trial is full")
			<-time.After(attemptTime + patience)
			synctest.Wait()
			require.Equal(t, MaxAbandoned+(i+1)*trials, r.q.State().Stuck)
		}
	})
}

func TestQuarantine_ATrialThatComesBackOpens(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newQuarantineRig(t, false)
		defer r.end()
		r.getStuck(t, MaxAbandoned)
		<-time.After(firstTrial + 1)
		synctest.Wait()
		require.True(t, r.gate(), "the trial takes something in")
		require.True(t, r.q.State().Quarantined)
		failed := errors.New("failed, but not stuck")
		require.ErrorIs(t, r.handle(t.Context(), func(context.Context) error { return failed }), failed)
		require.True(t, r.gate())
		require.False(t, r.q.State().Quarantined)

		// Those that never come back do not count again.
		r.getStuck(t, MaxAbandoned-1)
		require.True(t, r.gate())
		r.getStuck(t, 1)
		require.False(t, r.gate())
	})
}

// A handler that leaks more with each trial is tried no more in the end.
func TestQuarantine_LeaksAreBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newQuarantineRig(t, false)
		defer r.end()
		for r.q.State().Stuck < maxLeaked {
			if !r.gate() {
				<-time.After(lastTrial + 1)
				require.NoError(t, r.handle(t.Context(), func(context.Context) error { return nil }), "healed for a moment")
			}
			r.getStuck(t, MaxAbandoned)
		}
		<-time.After(24 * time.Hour)
		synctest.Wait()
		require.False(t, r.gate())
		require.Equal(t, maxLeaked, r.q.State().Stuck)
	})
}

func TestQuarantine_GivesTheProcessUpWhereTold(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newQuarantineRig(t, true)
		defer r.end()
		r.getStuck(t, MaxAbandoned+1)
		require.Len(t, r.exit, 1, "once")
		require.ErrorContains(t, r.exit[0], "handler feed: 100 attempts")
	})
}

// While the handler is in quarantine a failed attempt is not followed by
// another: the message goes to its redelivery, with its attempts counted.
func TestQuarantine_FailedAttemptsAreKept(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newQuarantineRig(t, false)
		defer r.end()
		r.Attempts, r.Backoff = 5, time.Millisecond
		r.getStuck(t, MaxAbandoned-1)
		m := message.NewMessage("u1", []byte("{}"))
		m.SetContext(t.Context())
		_, err := Retry(r.Settings)(Timeout(r.Settings)(func(m *message.Message) ([]*message.Message, error) {
			return nil, r.stick(m.Context())
		}))(m)
		require.Equal(t, failure.Timeout, failure.Classify(err).Reason)
		require.Equal(t, "1", m.Metadata.Get("answerfeed_attempts"))
	})
}
