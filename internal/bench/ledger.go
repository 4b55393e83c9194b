package bench

import (
	"math"
	"slices"
	"sync/atomic"
	"time"
)

// ledger notes, for each event and handler, when it was settled first: took
// effect, or turned out to be poison. Events are numbered from 0; the first of
// them are those that are published at a rate, and so have a moment at which
// they were due.
type ledger struct {
	events int
	lags   []atomic.Uint32 // microseconds, 1 or more; 0 = not settled

	steady int
	began  atomic.Int64 // nanoseconds since 1970: when the first was due
	every  time.Duration

	settled atomic.Int64
	took    atomic.Int64 // effect
	await   atomic.Pointer[goal]
}

// goal is told the moment at which so many are settled.
type goal struct {
	settled int64
	reached chan time.Time
}

func newLedger(s step, rate float64) *ledger {
	return &ledger{
		events: s.total(), lags: make([]atomic.Uint32, s.total()*s.handlers),
		steady: s.steady, every: time.Duration(float64(time.Second) / rate),
	}
}

// due is when the i-th of the first events is to be published.
func (l *ledger) due(i int) time.Time {
	return time.Unix(0, l.began.Load()).Add(time.Duration(i) * l.every)
}

func (l *ledger) settle(handler, i int, took bool) {
	if i >= l.events {
		return
	}
	now, lag := time.Now(), int64(1)
	if i < l.steady {
		lag = min(max(now.Sub(l.due(i)).Microseconds(), 1), math.MaxUint32)
	}
	if !l.lags[(handler-1)*l.events+i].CompareAndSwap(0, uint32(lag)) { //nolint:gosec // bounded above
		return // it came again
	}
	if took {
		l.took.Add(1)
	}
	n := l.settled.Add(1)
	if g := l.await.Load(); g != nil && n == g.settled {
		g.tell(now)
	}
}

func (g *goal) tell(now time.Time) {
	select {
	case g.reached <- now:
	default:
	}
}

// goal sets the next one, before what leads to it begins.
func (l *ledger) goal(settled int) <-chan time.Time {
	g := &goal{settled: int64(settled), reached: make(chan time.Time, 1)}
	l.await.Store(g)
	if l.settled.Load() >= g.settled {
		g.tell(time.Now())
	}
	return g.reached
}

// latency is of the events that were published at a rate, in all handlers,
// without the first ones, which find everything cold.
func (l *ledger) latency() Latency {
	const most = 250
	warm := min(most, l.steady/10)
	var lags []uint32
	for first := 0; first < len(l.lags); first += l.events {
		for i := warm; i < l.steady; i++ {
			if lag := l.lags[first+i].Load(); lag > 0 {
				lags = append(lags, lag)
			}
		}
	}
	if len(lags) == 0 {
		return Latency{}
	}
	slices.Sort(lags)
	at := func(percent int) float64 {
		nearest := (len(lags)*percent + 99) / 100
		return float64(lags[nearest-1]) / 1000
	}
	return Latency{P50: at(50), P95: at(95), P99: at(99), Max: at(100)}
}
