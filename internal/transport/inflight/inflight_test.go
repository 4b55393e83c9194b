package inflight_test

import (
	"context"
	"testing"
	"time"

	"github.com/ThreeDotsLabs/watermill/message"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/answerfeed/answerfeed/internal/transport/inflight"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func pass(w *inflight.Window, ctx context.Context) (*message.Message, <-chan inflight.Outcome) {
	m := message.NewMessage("id", nil)
	outcome := make(chan inflight.Outcome, 2) // room to show that it is told twice
	w.Pass(ctx, m, func(o inflight.Outcome) { outcome <- o })
	return m, outcome
}

func TestWindow_ReportsEachOutcomeOnce(t *testing.T) {
	w := inflight.New(5000)
	acked, ackOutcome := pass(w, t.Context())
	require.Same(t, acked, <-w.Messages())
	nacked, nackOutcome := pass(w, t.Context())
	require.Same(t, nacked, <-w.Messages())

	acked.Ack()
	nacked.Nack()
	require.Equal(t, inflight.Acked, <-ackOutcome)
	require.Equal(t, inflight.Nacked, <-nackOutcome)
	w.Close(0)
	w.Close(0)
	require.Empty(t, ackOutcome)
	_, open := <-w.Messages()
	require.False(t, open)
}

func TestWindow_ContextOutlivesTheSubscribersAndEndsWithTheOutcome(t *testing.T) {
	w := inflight.New(5000)
	defer w.Close(0)
	ctx, cancel := context.WithCancel(t.Context())
	m, outcome := pass(w, ctx)
	<-w.Messages()
	cancel()
	require.NoError(t, m.Context().Err(), "what is in flight may finish")
	m.Ack()
	<-outcome
	<-m.Context().Done()
}

func TestWindow_CloseReturnsWhatNobodyTookAndWhatOverstays(t *testing.T) {
	w := inflight.New(5000)
	running, ran := pass(w, t.Context())
	<-w.Messages()
	_, waited := pass(w, t.Context())
	w.Close(0)
	require.Equal(t, inflight.Returned, <-waited)
	require.Equal(t, inflight.Returned, <-ran)
	<-running.Context().Done()
}

func TestWindow_CloseWaitsForWhatFinishesInTime(t *testing.T) {
	w := inflight.New(5000)
	m, outcome := pass(w, t.Context())
	<-w.Messages()
	closed := make(chan struct{})
	go func() { w.Close(time.Hour); close(closed) }()
	m.Ack()
	<-closed
	require.Equal(t, inflight.Acked, <-outcome)
}

// A message that was acknowledged before Close is not returned, though Close
// gives no grace.
func TestWindow_CloseKeepsWhatWasSettledBefore(t *testing.T) {
	w := inflight.New(5000)
	var outcomes []<-chan inflight.Outcome
	for range 5000 {
		_, outcome := pass(w, t.Context())
		outcomes = append(outcomes, outcome)
	}
	for range outcomes {
		(<-w.Messages()).Ack()
	}
	w.Close(0)
	for _, outcome := range outcomes {
		require.Equal(t, inflight.Acked, <-outcome)
	}
}

// Whatever the size and the order, each outcome is told once, though one
// message never ends.
func TestWindow_ReportsWhatFinishesBesideASlowOne(t *testing.T) {
	for _, size := range []int{2, 3, 16, 17, 18, 1000} {
		w := inflight.New(size)
		slow, waited := pass(w, t.Context())
		require.Same(t, slow, <-w.Messages())
		for range 3 { // places are used again
			var outcomes []<-chan inflight.Outcome
			for range size - 1 {
				_, outcome := pass(w, t.Context())
				outcomes = append(outcomes, outcome)
			}
			for i := range size - 1 {
				if m := <-w.Messages(); i%3 == 0 {
					m.Nack()
				} else {
					m.Ack()
				}
			}
			for i, outcome := range outcomes {
				want := inflight.Acked
				if i%3 == 0 {
					want = inflight.Nacked
				}
				require.Equal(t, want, <-outcome)
				require.Empty(t, outcome)
			}
		}
		require.Empty(t, waited)
		w.Close(0)
		require.Equal(t, inflight.Returned, <-waited)
	}
}
