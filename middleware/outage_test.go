package middleware_test

import (
	"context"
	"errors"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/ThreeDotsLabs/watermill/message"
	"github.com/prometheus/client_golang/prometheus/testutil"
	"github.com/stretchr/testify/require"

	"github.com/answerfeed/answerfeed/app/failure"
	"github.com/answerfeed/answerfeed/internal/transport"
	"github.com/answerfeed/answerfeed/middleware"
)

// power is a dependency that is there, or away, or just about to be found so.
type power struct {
	mu       sync.Mutex
	away     bool
	answers  bool
	returned chan struct{}
}

var _ middleware.Dependencies = (*power)(nil)

var errPower = errors.New("power cut")

func (p *power) Begin(ctx context.Context, within time.Duration) (middleware.Attempt, error) {
	p.mu.Lock()
	away, returned := p.away, p.returned
	p.mu.Unlock()
	if !away {
		return p, nil
	}
	select {
	case <-returned:
		return p, nil
	case <-time.After(within):
		return nil, errPower
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

func (p *power) Wait(ctx context.Context, within time.Duration) error {
	_, err := p.Begin(ctx, within)
	return err
}

// End takes errPower for its own fault.
func (p *power) End(_ context.Context, err error, doubtful bool) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return !errors.Is(err, errPower) && (!doubtful || p.answers)
}

// cut is the outage, which a waiting message and the next probe find out.
func (p *power) cut() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.away, p.answers, p.returned = true, false, make(chan struct{})
}

func (p *power) restore() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.away, p.answers = false, true
	close(p.returned)
}

func needing(p *power) func(*middleware.Settings) {
	return func(s *middleware.Settings) { s.Dependencies = p }
}

func TestOutage_SpendsNoAttempt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := &power{answers: true}
		r, attempts := newRig(t, needing(p)), 0
		go func() { <-time.After(2 * time.Minute); p.restore() }()
		begin := time.Now()
		require.NoError(t, r.handle(newMessage(), func(*message.Message) error {
			attempts++
			switch attempts {
			case 1: // it goes away in the middle
				p.cut()
				return failure.Transient(errBoom)
			case 2: // and is back, with trouble of its own
				return failure.Transient(errBoom)
			}
			return nil
		}))
		require.Equal(t, 3, attempts)
		require.GreaterOrEqual(t, time.Since(begin), 2*time.Minute)
		require.Empty(t, r.redelivered)
		require.Empty(t, r.letters)
		require.NoError(t, testutil.GatherAndCompare(r.registry, strings.NewReader(`
# HELP answerfeed_uncounted_attempts_total Attempts that failed while a dependency did not answer, and are made again without being counted.
# TYPE answerfeed_uncounted_attempts_total counter
answerfeed_uncounted_attempts_total{handler="feed",topic="answer-added"} 1
`), "answerfeed_uncounted_attempts_total"))
	})
}

func TestOutage_TakesNothingUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := &power{}
		p.cut()
		r, h := newRig(t, needing(p)), fails(nil)
		done := make(chan error, 1)
		go func() { done <- r.handle(newMessage(), h.handle) }()
		<-time.After(time.Minute)
		synctest.Wait()
		require.Zero(t, h.attempts)
		p.restore()
		require.NoError(t, <-done)
		require.Equal(t, 1, h.attempts)
	})
}

// What waits too long goes back to its queue, as it came.
func TestOutage_GivesBackAfterFiveMinutes(t *testing.T) {
	for name, change := range map[string]func(*middleware.Settings){"at least once": func(*middleware.Settings) {}, "unknown retried": unknownRetried} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				p := &power{}
				p.cut()
				r, h, m, begin := newRig(t, needing(p), change), fails(nil), newMessage(), time.Now()
				require.ErrorContains(t, r.handle(m, h.handle), errPower.Error())
				require.Equal(t, 5*time.Minute, time.Since(begin))
				require.Zero(t, h.attempts)
				require.Zero(t, transport.Count(m, transport.KeyAttempts))
				require.Empty(t, r.redelivered)
				require.Empty(t, r.letters)
				p.restore()
			})
		})
	}
}

// The five minutes are for all quick attempts together: a broker takes back
// what is held for too long.
func TestOutage_TwoInOneDeliveryHoldNoLonger(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := &power{}
		p.cut()
		r, begin := newRig(t, needing(p)), time.Now()
		go func() { <-time.After(4 * time.Minute); p.restore() }()
		require.Error(t, r.handle(newMessage(), func(*message.Message) error {
			go func() { <-time.After(time.Millisecond); p.cut() }()
			return failure.Transient(errBoom)
		}))
		require.Equal(t, 5*time.Minute, time.Since(begin))
		require.Empty(t, r.redelivered)
		p.restore()
	})
}

// A dependency that comes and goes made attempts without end, in one delivery.
func TestOutage_ThatComesAndGoesGivesBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r, attempts, begin := newRig(t, needing(&power{})), 0, time.Now()
		require.Error(t, r.handle(newMessage(), func(*message.Message) error {
			<-time.After(9 * time.Second)
			if attempts++; attempts > 1000 {
				return nil
			}
			return failure.Transient(errBoom)
		}))
		require.LessOrEqual(t, time.Since(begin), 5*time.Minute+9*time.Second)
		require.Empty(t, r.redelivered)
		require.Empty(t, r.letters)
	})
}

// A failure of its own counts while everything else is well, and a permanent
// one at any time.
func TestOutage_OwnFaultsCount(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r, h := newRig(t, needing(&power{answers: true})), fails(failure.Transient(errBoom))
		require.NoError(t, r.handle(newMessage(), h.handle))
		require.Equal(t, 3, h.attempts)
		require.Len(t, r.redelivered, 1)

		r, h = newRig(t, needing(&power{})), fails(failure.Permanent(failure.Rejected, errBoom))
		require.NoError(t, r.handle(newMessage(), h.handle))
		require.Equal(t, 1, h.attempts)
		require.Len(t, r.letters, 1)
	})
}
