package rabbit

import (
	"cmp"
	"context"
	"sync"
	"time"

	"github.com/ThreeDotsLabs/watermill/message"

	"github.com/answerfeed/answerfeed/internal/crashpoint"
	"github.com/answerfeed/answerfeed/internal/memory"
	"github.com/answerfeed/answerfeed/internal/transport"
	"github.com/answerfeed/answerfeed/internal/transport/inflight"
)

const (
	// gather is how long a finished message waits for others that finish with
	// it, to be acknowledged together; overtake is how long it waits for
	// slower ones before it, until it is acknowledged singly.
	gather, overtake = 200 * time.Microsecond, 5 * time.Millisecond
	// reopenPause is between two tries to consume, doubling to maxReopenPause.
	reopenPause, maxReopenPause = 50 * time.Millisecond, time.Second
	// holdUnread is how long what the broker sent ahead is kept unread behind a
	// closed gate, unless the consumer says otherwise: well below the half hour
	// after which the broker would end the channel.
	holdUnread = 5 * time.Minute
)

// consumer reads one queue, in one session after the other. One goroutine,
// run, owns its state.
type consumer struct {
	t      *Transport
	cfg    transport.Consumer
	queue  string // with the prefix
	window *inflight.Window
	memory *memory.Holder

	// What ended, handed over to run.
	mu     sync.Mutex
	ended  []ending
	signal chan struct{}

	intake context.Context //nolint:containedctx // ends with Close
	stop   context.CancelFunc
	done   chan struct{} // run has ended

	// Of run alone, but for figures.
	figures sync.Mutex
	inWork  int       // messages in the window, of this session or an earlier one
	newest  time.Time // when the message delivered last was published
	failing bool      // consuming is not possible now

	// See unread.go.
	narrowed  int       // a prefetch that there is memory for
	widen     time.Time // when to try a larger one
	announced bool      // that it is smaller
}

func newConsumer(t *Transport, cfg transport.Consumer) *consumer {
	c := &consumer{
		t: t, cfg: cfg, queue: t.queueOf(cfg), window: inflight.New(cfg.Window), memory: cfg.Holder(), narrowed: unlimited,
		signal: make(chan struct{}, 1), done: make(chan struct{}),
	}
	c.intake, c.stop = context.WithCancel(context.Background())
	return c
}

// start runs the consumer until Close, or until ctx ends. s is its first
// session, nil when the broker cannot give one for now.
func (c *consumer) start(ctx context.Context, s *session) {
	stop := context.AfterFunc(ctx, c.stop)
	go func() {
		defer close(c.done)
		defer stop()
		c.run(context.WithoutCancel(ctx), s)
		c.memory.Close()
		c.t.consumers.Remove(c)
	}()
}

// Messages is the channel that the router reads.
func (c *consumer) Messages() <-chan *message.Message { return c.window.Messages() }

// Close stops the intake, lets the window drain, and waits for the end.
func (c *consumer) Close() {
	c.stop()
	<-c.done
}

// run holds session after session until closing.
func (c *consumer) run(ctx context.Context, s *session) {
	pause := reopenPause
	for {
		if s != nil {
			if c.serve(ctx, s) {
				return
			}
			lasted := time.Since(s.begun)
			if c.leave(s) {
				if lasted > maxReopenPause {
					pause = reopenPause
				}
				if c.waitWithout(nil, time.After(pause)) {
					return
				}
				pause = min(2*pause, maxReopenPause)
			}
		}
		s = nil
		if open, changed := c.cfg.Opened(); !open {
			if c.waitWithout(changed, nil) {
				return
			}
			continue
		}
		var err error
		if s, err = c.open(c.intake); err != nil {
			if c.intake.Err() == nil {
				c.report(err)
			}
			if c.waitWithout(nil, time.After(pause)) {
				return
			}
			pause = min(2*pause, maxReopenPause)
			continue
		}
		c.report(nil)
	}
}

// leave accounts for a session that broke or was given up; true when it was
// the broker that ended it.
func (c *consumer) leave(s *session) (byBroker bool) {
	why := s.closure()
	s.close()
	c.forget(s)
	inFlight := c.outlive(s)
	if why != nil {
		c.closed(why, inFlight)
	}
	return why != nil
}

// serve reads a session until it breaks, false, or until the consumer is
// closed and drained, true.
func (c *consumer) serve(ctx context.Context, s *session) (drained bool) {
	alarm, patience := newAlarm(), newAlarm()
	defer alarm.timer.Stop()
	defer patience.timer.Stop()
	for {
		open, changed := c.cfg.Opened()
		switch {
		case !open && !s.paused:
			patience.set(cmp.Or(c.cfg.Hold, holdUnread))
		case open && s.paused:
			return false
		case open:
			patience.unset()
		}
		if open && !c.take(ctx, s) {
			return false
		}
		deliveries, wider := s.deliveries, c.widening()
		if s.paused { // it was ended
			deliveries, wider = nil, nil
		}
		select {
		case <-changed:
		case <-patience.timer.C:
			patience.rang()
			s.paused = true
			c.giveBackUnread(s)
		case <-wider:
			if !c.wider(s) {
				return false
			}
		case <-c.intake.Done():
			if !s.paused {
				c.giveBackUnread(s)
			}
			c.drain(s)
			s.close()
			return true
		case d, open := <-deliveries:
			if !open || d.Acknowledger == nil { // broken, or cancelled by the broker
				return false
			}
			c.t.quorum.delivered()
			if !c.receive(s, d) {
				return false
			}
		case s.reason = <-s.broken: // seen even while there is no room
			return false
		case _, s.cancelled = <-s.cancels:
			return false
		case <-c.signal:
			alarm.set(gather)
		case <-alarm.timer.C:
			alarm.rang()
			c.collect(s, time.Now())
			if wait, ok := s.settle(time.Now(), overtake); !ok {
				return false
			} else if wait > 0 {
				alarm.set(wait)
			}
		}
	}
}

// waitWithout waits for the next try to open a session: for either of the two.
// It returns true when the consumer was closed instead, and is drained.
func (c *consumer) waitWithout(changed <-chan struct{}, pause <-chan time.Time) (drained bool) {
	for {
		select {
		case <-c.intake.Done():
			c.drain(nil)
			return true
		case <-c.signal:
			c.collect(nil, time.Now())
		case <-changed:
			return false
		case <-pause:
			return false
		}
	}
}

// drain lets the window come to its end and settles what it can.
func (c *consumer) drain(s *session) {
	empty := make(chan struct{})
	go func() { c.window.Close(c.cfg.Grace); close(empty) }()
	tick := time.NewTicker(gather)
	defer tick.Stop()
	for drained := false; !drained; {
		select {
		case <-empty:
			drained = true
		case <-tick.C:
		}
		crashpoint.At(crashpoint.Draining)
		c.collect(s, time.Now())
		if s == nil {
			continue
		}
		wait := overtake
		if drained {
			wait = 0
			s.dropPauses()
		}
		if _, ok := s.settle(time.Now(), wait); !ok {
			s = nil // the rest comes back by itself
		}
	}
}

// collect books what ended since the last time.
func (c *consumer) collect(s *session, now time.Time) {
	c.mu.Lock()
	ended := c.ended
	c.ended = nil
	c.mu.Unlock()
	for _, e := range ended {
		c.book(-1)
		c.memory.Give(e.cost())
		if c.cfg.AtMostOnce || e.session != s || s == nil {
			continue // settled already, or by the end of its session
		}
		switch e.outcome {
		case inflight.Acked:
			s.tags.finish(e.tag, now)
		case inflight.Nacked:
			s.nacks = append(s.nacks, nack{e.tag, now.Add(c.t.cfg.NackPause)})
		case inflight.Returned:
			s.nacks = append(s.nacks, nack{e.tag, now})
		}
	}
}

func (c *consumer) book(messages int) {
	c.figures.Lock()
	defer c.figures.Unlock()
	c.inWork += messages
}

// report logs that consuming is not possible, or possible again: once a
// change.
func (c *consumer) report(err error) {
	if failing := err != nil; failing != c.failing {
		c.failing = failing
		if failing {
			c.t.cfg.Logger.Error("the queue cannot be consumed; trying again", "queue", c.queue, "error", err)
		} else {
			c.t.cfg.Logger.Info("the queue is consumed again", "queue", c.queue)
		}
	}
}
