package sqlqueue

import (
	"context"
	stdsql "database/sql"
	"errors"
	"sync"
	"sync/atomic"
	"time"

	"github.com/ThreeDotsLabs/watermill/message"

	"github.com/answerfeed/answerfeed/internal/crashpoint"
	"github.com/answerfeed/answerfeed/internal/memory"
	"github.com/answerfeed/answerfeed/internal/transport"
	"github.com/answerfeed/answerfeed/internal/transport/inflight"
)

const (
	// claimBatch is how many messages one transaction claims at most, so that
	// acknowledgements never wait long behind it.
	claimBatch = 512
	// look is how often an idle queue is looked at without being told of a
	// change: a net below the notifications, not the way messages are found.
	look = time.Second
	// ackWithin is how long an acknowledgement waits for others, or for a
	// claim, to share a transaction with; see canWait.
	ackWithin = 5 * time.Millisecond
	// failPause is the pause after a failed transaction, doubling up to
	// maxFailPause.
	failPause, maxFailPause = 20 * time.Millisecond, time.Second
)

// consumer reads one queue. One goroutine, run, owns its state and does all
// its writing: each round settles what was finished since the last, extends
// leases, and claims as many messages as have become free, in one
// transaction. So whatever finishes during a commit shares the next.
type consumer struct {
	t      *Transport
	cfg    transport.Consumer
	window *inflight.Window
	memory *memory.Holder
	queue  atomic.Int64 // its id: a hint, which registrar keeps
	statements

	// On PostgreSQL: see lookout.
	mark  mark
	wants atomic.Int32
	news  chan struct{}

	// Settled messages, handed over to run.
	mu      sync.Mutex
	settled []settlement
	urgent  bool // there are others than acknowledgements
	ended   bool // run takes no more
	signal  chan struct{}

	intake context.Context // ends with Subscribe's, or by stop
	stop   context.CancelFunc
	done   chan struct{} // run has ended

	// Of run alone.
	claims  map[*claim]struct{}
	more    bool            // there may be messages to claim now
	lookAt  time.Time       // else: when to look again
	head    int64           // what the message takes that was next at the last look
	typical int64           // what a message has taken lately
	missed  bool            // the last claim found nothing
	tight   bool            // there is no memory for the next message
	freed   <-chan struct{} // closed when there is more memory than when it was tight
	extend  time.Time       // when leases are next extended
	ackBy   time.Time       // when acknowledgements that wait are written at last
	failing bool            // the last round failed
}

func newConsumer(ctx context.Context, t *Transport, cfg transport.Consumer) (*consumer, error) {
	c := &consumer{
		t: t, cfg: cfg,
		signal: make(chan struct{}, 1), done: make(chan struct{}), news: make(chan struct{}, 1),
		claims: map[*claim]struct{}{}, more: true,
	}
	var queue int64
	err := t.db.Read().QueryRowContext(ctx, t.queries.findQueue, cfg.Name()).Scan(&queue)
	if errors.Is(err, stdsql.ErrNoRows) {
		return nil, transport.ErrNoQueue
	}
	if err != nil {
		return nil, err
	}
	if c.statements, err = prepare(t.db, t.queries); err != nil {
		return nil, err
	}
	c.queue.Store(queue)
	c.window, c.memory = inflight.New(cfg.Window), cfg.Holder()
	c.intake, c.stop = context.WithCancel(ctx)
	return c, nil
}

// start runs the consumer until close, or until Subscribe's context ends.
func (c *consumer) start() {
	go func() {
		defer close(c.done)
		c.run()
		c.stop()
		c.end()
		c.statements.all.Close()
		c.memory.Close()
		c.t.consumers.Remove(c)
	}()
}

// Messages is the channel of the window.
func (c *consumer) Messages() <-chan *message.Message { return c.window.Messages() }

// Close stops the intake, lets the window drain, and waits for the end.
func (c *consumer) Close() {
	c.stop()
	<-c.done
}

// run is the consumer's life, in two phases: rounds until the intake ends,
// then rounds without intake until the window is empty. The end of a phase
// also ends a round's wait for a database that is locked.
func (c *consumer) run() {
	changes, stop := c.t.listen(c)
	defer stop()
	pause := failPause
	timer := time.NewTimer(0)
	defer timer.Stop()
	c.extend = time.Now().Add(c.t.cfg.Lease / 3)

	phase, intake, wakeAt := c.intake, true, time.Now()
	for {
		_, gate := c.cfg.Opened()
		var freed <-chan struct{}
		if c.tight {
			freed = c.freed
		}
		signal, changes := c.signal, changes
		if c.failing { // what happens meanwhile waits for the pause to end
			signal, changes = nil, nil
		}
		select {
		case <-phase.Done():
			if !intake {
				c.finish()
				return
			}
			c.wants.Store(nothing)
			draining, drained := context.WithCancel(context.Background())
			go func() { defer drained(); c.window.Close(c.cfg.Grace) }()
			phase, intake = draining, false
		case <-signal:
			if intake && c.canWait() {
				timer.Reset(min(time.Until(wakeAt), time.Until(c.ackBy)))
				continue
			}
		case <-changes:
			c.heard()
		case <-gate:
		case <-freed:
			c.loosen()
		case <-timer.C:
		}
		if !intake {
			crashpoint.At(crashpoint.Draining)
		}
		open, _ := c.cfg.Opened()
		c.quiet()
		err := c.round(phase, intake && open)
		if err != nil && phase.Err() != nil {
			timer.Reset(0)
			continue
		}
		c.report(err)
		if err != nil {
			timer.Reset(pause)
			pause = min(2*pause, maxFailPause)
			continue
		}
		pause = c.wait(intake && open)
		timer.Reset(pause)
		wakeAt, pause = time.Now().Add(pause), failPause
	}
}

// heard takes the news of a message. On PostgreSQL, lookout has seen one that
// may be claimed; else, or when a claim found none that fits, it is looked at
// first.
func (c *consumer) heard() {
	c.lookAt = time.Time{}
	if c.t.lookout != nil && !c.missed {
		c.more = true
	}
}

// canWait says that what was settled are acknowledgements, for which nobody
// waits: neither a caller nor, while less than half of the window is taken, a
// message. Where some come in each moment, they share a transaction, with
// each other and with a claim. It sets ackBy.
func (c *consumer) canWait() bool {
	if c.cfg.AtMostOnce || 2*len(c.claims) > c.cfg.Window || c.tight {
		return false
	}
	c.mu.Lock()
	urgent := c.urgent
	c.mu.Unlock()
	now := time.Now()
	if c.ackBy.IsZero() {
		c.ackBy = now.Add(ackWithin)
	}
	return !urgent && now.Before(c.ackBy)
}

// quiet ends the news for the time of a round, which will find what they told.
func (c *consumer) quiet() {
	if c.wants.CompareAndSwap(anything, below) {
		select {
		case <-c.news:
		default:
		}
	}
}

// wait is how long the next round may wait if nothing happens before.
func (c *consumer) wait(intake bool) time.Duration {
	d := look
	if c.leased() {
		d = min(d, time.Until(c.extend))
	}
	wants := nothing
	if intake && c.room() {
		wants = anything
		if c.more {
			d, wants = 0, below
		} else {
			d = min(d, time.Until(c.lookAt))
		}
		if c.tight {
			wants = nothing
		}
	}
	c.wants.Store(wants)
	return max(d, 0)
}

// leased says that there are claims to extend. What was taken at most once has
// none.
func (c *consumer) leased() bool { return len(c.claims) > 0 && !c.cfg.AtMostOnce }

func (c *consumer) room() bool {
	return len(c.claims) < c.cfg.Window
}

// finish makes the last tries to settle what is left; what cannot be settled
// comes back when its lease ends.
func (c *consumer) finish() {
	ctx, cancel := context.WithTimeout(context.Background(), finishWithin)
	defer cancel()
	for {
		err := c.round(ctx, false)
		if err == nil || ctx.Err() != nil {
			c.report(err)
			return
		}
		select {
		case <-ctx.Done():
		case <-time.After(failPause):
		}
	}
}

// finishWithin bounds the wait for a locked database while closing.
const finishWithin = 5 * time.Second

// report logs that rounds fail, or work again: once a change.
func (c *consumer) report(err error) {
	if failing := err != nil; failing != c.failing {
		c.failing = failing
		if failing {
			c.t.cfg.Logger.Error("the queue cannot be used; trying again", "queue", c.cfg.Name(), "error", err)
		} else {
			c.t.cfg.Logger.Info("the queue can be used again", "queue", c.cfg.Name())
		}
	}
}
