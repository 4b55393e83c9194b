package bench

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/ThreeDotsLabs/watermill/message"

	"github.com/answerfeed/answerfeed/app/event"
)

const (
	// callers publish at once where the rate is the question, with calls of
	// up to mostEach messages and callBytes.
	callers, mostEach, callBytes = 4, 500, 4 << 20
	// outstanding bounds the calls under way where the rate is given. Beyond
	// it the publisher falls behind, which the latency then tells.
	outstanding = 5000
	// showEvery is how often progress is told.
	showEvery = 100 * time.Millisecond
)

// eachCall is how many events of a size one call publishes.
func eachCall(size int) int { return max(1, min(mostEach, callBytes/size)) }

// publishAll publishes the events from one number to another as fast as it can,
// and returns how long that took, until the last was confirmed.
func (st *stage) publishAll(ctx context.Context, from, to int) (time.Duration, error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	var next, done atomic.Int64
	each := eachCall(st.bench.Settings.Payload)
	errs := make([]error, callers)
	began := time.Now()
	var wg sync.WaitGroup
	for c := range callers {
		wg.Go(func() {
			for {
				first := from + int(next.Add(int64(each))) - each
				if first >= to {
					return
				}
				last := min(first+each, to)
				if errs[c] = st.publish(ctx, first, last); errs[c] != nil {
					cancel()
					return
				}
				done.Add(int64(last - first))
			}
		})
	}
	ended := make(chan struct{})
	go func() { wg.Wait(); close(ended) }()
	st.show(ended, "publishing", &done, to-from)
	return time.Since(began), errors.Join(errs...)
}

// show tells of progress until it has ended.
func (st *stage) show(ended <-chan struct{}, what string, done *atomic.Int64, total int) {
	tick := time.NewTicker(showEvery)
	defer tick.Stop()
	for {
		st.bench.Progress(st.step.name+": "+what, int(done.Load()), total)
		select {
		case <-ended:
			st.bench.Progress(st.step.name+": "+what, int(done.Load()), total)
			return
		case <-tick.C:
		}
	}
}

// publish is one call.
func (st *stage) publish(ctx context.Context, from, to int) error {
	msgs := make([]*message.Message, 0, to-from)
	for i := from; i < to; i++ {
		m, err := st.source.message(i)
		if err != nil {
			return err
		}
		m.SetContext(ctx)
		msgs = append(msgs, m)
	}
	return st.client.Publisher().Publish(event.TopicAnswerAdded, msgs...)
}

// pace publishes each of the first events when it is due, by a call of its own,
// and returns how long it took until the last was confirmed.
func (st *stage) pace(ctx context.Context) (time.Duration, error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	var (
		wg    sync.WaitGroup
		once  sync.Once
		first error
	)
	free := make(chan struct{}, outstanding)
	timer := time.NewTimer(0)
	defer timer.Stop()
	began := time.Now()
	st.ledger.began.Store(began.UnixNano())
	for i := range st.step.steady {
		if wait := time.Until(st.ledger.due(i)); wait > 0 {
			timer.Reset(wait)
			select {
			case <-timer.C:
			case <-ctx.Done():
			}
		}
		select {
		case free <- struct{}{}:
		case <-ctx.Done():
		}
		if ctx.Err() != nil {
			break
		}
		wg.Go(func() {
			defer func() { <-free }()
			if err := st.publish(ctx, i, i+1); err != nil {
				once.Do(func() { first = err })
				cancel()
			}
		})
	}
	wg.Wait()
	if first == nil {
		first = ctx.Err()
	}
	if first != nil {
		return 0, fmt.Errorf("publishing at a rate: %w", first)
	}
	return time.Since(began), nil
}
