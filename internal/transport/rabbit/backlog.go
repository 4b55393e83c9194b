package rabbit

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/answerfeed/answerfeed/internal/transport"
)

// Backlog asks the broker for each queue's ready messages. AMQP tells of no
// other: InFlight counts what this process has in work, and Oldest is the age
// of what it was delivered last, while messages wait behind that.
func (t *Transport) Backlog(ctx context.Context) ([]transport.Backlog, error) {
	t.mu.Lock()
	subs := slices.Clone(t.subs)
	t.mu.Unlock()
	var names []string
	for _, s := range subs {
		queue := t.cfg.Prefix + s.Queue()
		names = append(append(append(names, queue), deadQueues(queue)...), t.delayQueues(s)...)
	}
	ready, err := t.consuming.count(ctx, names)
	if err != nil {
		return nil, fmt.Errorf("counting the backlog: %w", err)
	}
	consumers := t.consumers.All()
	all := make([]transport.Backlog, 0, len(subs))
	for _, s := range subs {
		queue := t.cfg.Prefix + s.Queue()
		b := transport.Backlog{Handler: s.Handler, Topic: s.Topic, Ready: ready[queue]}
		for _, name := range deadQueues(queue) {
			b.Dead += ready[name]
		}
		for _, name := range t.delayQueues(s) {
			b.Delayed += ready[name]
		}
		for _, source := range consumers {
			if c, ok := source.(*consumer); ok {
				c.add(&b, queue)
			}
		}
		all = append(all, b)
	}
	slices.SortFunc(all, func(a, b transport.Backlog) int {
		return cmp.Compare(a.Topic+"."+a.Handler, b.Topic+"."+b.Handler)
	})
	return all, nil
}

// add adds what the consumer has in work to its queue's figures.
func (c *consumer) add(b *transport.Backlog, queue string) {
	c.figures.Lock()
	defer c.figures.Unlock()
	switch c.queue {
	case queue:
		if !c.cfg.AtMostOnce { // else it is off the queue
			b.InFlight += int64(c.inWork)
		}
		if b.Ready > 0 && !c.newest.IsZero() {
			b.Oldest = max(b.Oldest, time.Since(c.newest))
		}
	case lettersName(queue):
		b.Dead += int64(c.inWork)
	}
}

// deadQueues are those in which a handler's letters are.
func deadQueues(queue string) []string {
	return []string{lettersName(queue), heldName(queue), deadName(queue)}
}

// delayQueues are the handler's delay queues on the topic that this process
// knows of, those of older workers included.
func (t *Transport) delayQueues(s transport.Subscription) []string {
	queue := t.cfg.Prefix + s.Queue()
	names := t.movers.olderDelays(queue)
	for _, d := range t.delays(s) {
		names = append(names, delayName(queue, d))
	}
	return names
}
