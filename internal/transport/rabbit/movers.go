package rabbit

import (
	"context"
	"slices"
	"sync"
	"time"

	"github.com/answerfeed/answerfeed/internal/transport"
)

// movers are those of one transport. They begin with its first consumer, since
// a program that only publishes or counts moves nothing, and end with it.
type movers struct {
	life context.Context //nolint:containedctx // ends with Close
	all  sync.WaitGroup

	mu       sync.Mutex
	running  map[string]bool     // by the name of the queue that is emptied
	older    map[string][]string // delay queues of older workers that were found, by queue
	scanning bool
}

func (ms *movers) wait() { ms.all.Wait() }

// start runs a mover, unless one for that queue runs already.
func (ms *movers) start(m *mover) {
	ms.mu.Lock()
	defer ms.mu.Unlock()
	if ms.running[m.from] || ms.life.Err() != nil {
		return
	}
	if ms.running == nil {
		ms.running = map[string]bool{}
	}
	ms.running[m.from] = true
	ms.all.Go(func() {
		m.run(ms.life)
		ms.mu.Lock()
		defer ms.mu.Unlock()
		delete(ms.running, m.from)
	})
}

// olderDelays are the delay queues of older workers that were found.
func (ms *movers) olderDelays(queue string) []string {
	ms.mu.Lock()
	defer ms.mu.Unlock()
	return slices.Clone(ms.older[queue])
}

func (ms *movers) found(queue, name string) {
	ms.mu.Lock()
	defer ms.mu.Unlock()
	if ms.older == nil {
		ms.older = map[string][]string{}
	}
	if !slices.Contains(ms.older[queue], name) {
		ms.older[queue] = append(ms.older[queue], name)
	}
}

// startMoving starts what empties the queues of the subscription, and of all
// others that this process knows, in which nothing may rest.
func (t *Transport) startMoving(s transport.Subscription) {
	subs := append(t.known(func(transport.Subscription) bool { return true }), s)
	for _, s := range subs {
		queue := t.cfg.Prefix + s.Queue()
		t.movers.start(&mover{t: t, sub: s, from: deadName(queue), prefetch: 1, route: t.fromDead(s)})
		t.movers.start(&mover{t: t, sub: s, from: heldName(queue), prefetch: moverPrefetch, route: t.fromHeld(s)})
	}
	t.movers.mu.Lock()
	defer t.movers.mu.Unlock()
	if !t.movers.scanning && t.movers.life.Err() == nil {
		t.movers.scanning = true
		t.movers.all.Go(func() { t.scan(t.movers.life) })
	}
}

// scan looks for delay queues that this process has not made: those of older
// workers, which are emptied, and those beyond the schedule, which are counted.
// Asking for a queue that is not there costs a channel, so it is done in the
// background, at the start and from time to time.
func (t *Transport) scan(ctx context.Context) {
	tick := time.NewTicker(declareEvery)
	defer tick.Stop()
	for {
		for _, s := range t.known(func(transport.Subscription) bool { return true }) {
			for _, d := range distinct(append(ladder(), s.Delays...)) {
				if ctx.Err() != nil {
					return
				}
				t.look(ctx, s, d)
			}
		}
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}

// look looks for the delay queues of one delay. What cannot be asked for now
// is asked for the next time.
func (t *Transport) look(ctx context.Context, s transport.Subscription, d time.Duration) {
	queue := t.cfg.Prefix + s.Queue()
	if _, there, err := t.consuming.inspect(ctx, oldDelayName(queue, d)); err == nil && there {
		t.movers.found(queue, oldDelayName(queue, d))
		t.movers.start(&mover{
			t: t, sub: s, from: oldDelayName(queue, d), mayGo: true, prefetch: moverPrefetch,
			route: t.fromOldDelay(ctx, s, d),
		})
	}
	if _, there, err := t.consuming.inspect(ctx, delayName(queue, d)); err == nil && there {
		t.noteDelay(queue, d)
	}
}

// noteDelay notes a delay queue that another process has made.
func (t *Transport) noteDelay(queue string, delay time.Duration) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if !slices.Contains(t.beyond[queue], delay) {
		t.beyond[queue] = append(t.beyond[queue], delay)
	}
}
