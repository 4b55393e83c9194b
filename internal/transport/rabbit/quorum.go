package rabbit

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	amqp "github.com/rabbitmq/amqp091-go"
)

const (
	// askEvery is how often the broker's node is asked, and askWithin how long
	// the answer may take.
	askEvery, askWithin = 2 * time.Second, 3 * time.Second
	// lookEvery is the first pause between two looks at other nodes, doubling
	// to lookAtMost, while none is better.
	lookEvery, lookAtMost = time.Second, 15 * time.Second
	// unansweredAtMost is when a connection is given up whose node answers
	// nothing, though no other is better.
	unansweredAtMost = time.Minute
)

// quorum watches whether the broker's node can serve quorum queues. A node
// that lost the majority of its cluster goes on to answer: a channel opens, a
// passive declare gives a count, and consumers wait without a word. It
// cannot take from a queue, even an empty one, since that is agreed upon by a
// majority: basic.get has no answer there on RabbitMQ 4.0 and 4.3.
//
// When the node of a queue's leader dies, the broker closes the connection of
// whoever asks at that moment (541, on 4.0 and 4.3). So a worker asks only when
// nothing was delivered for a while: a delivery tells as much, and where there
// is none, little is in flight.
//
// Such a node is left for another of the URLs as soon as that one answers
// better, and not before.
type quorum struct {
	link   *link        // which is asked
	also   *link        // which goes where link goes
	heard  atomic.Bool  // a message was delivered since the last question
	names  atomic.Int64 // which of the queues to ask with
	barred atomic.Bool  // the user may not ask
	all    sync.WaitGroup
	stop   context.CancelFunc

	mu   sync.Mutex
	lost error
}

// end stops watching, and waits for the answers that come in time. Nothing
// declares the probe queue after that.
func (q *quorum) end(ctx context.Context) {
	q.stop()
	ctx, cancel := context.WithTimeout(ctx, askWithin)
	defer cancel()
	_, _ = within(ctx, func() (struct{}, error) { q.all.Wait(); return struct{}{}, nil }, func(struct{}) {})
}

// start watches until life ends, or end is called.
func (q *quorum) start(life context.Context) {
	ctx, cancel := context.WithCancel(life)
	q.stop = cancel
	q.all.Go(func() { q.watch(ctx) })
}

// err is why the node cannot serve, nil when it can.
func (q *quorum) err() error {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.lost
}

func (q *quorum) set(err error) (changed bool) {
	q.mu.Lock()
	defer q.mu.Unlock()
	changed = (err == nil) != (q.lost == nil)
	q.lost = err
	return changed
}

// watch asks until ctx ends.
func (q *quorum) watch(ctx context.Context) {
	for sleep(ctx, askEvery); ctx.Err() == nil; sleep(ctx, askEvery) {
		if q.heard.Swap(false) && q.err() == nil {
			q.bringAlong(ctx)
			continue
		}
		conn, err := q.link.get(ctx)
		if err != nil {
			return
		}
		q.await(ctx, conn, q.ask(ctx, conn))
		q.bringAlong(ctx)
	}
}

// delivered notes that the node serves a queue.
func (q *quorum) delivered() {
	if !q.heard.Load() {
		q.heard.Store(true)
	}
}

// bringAlong lets the other connection leave a node that does not serve its
// queues, when the two are not on the same.
func (q *quorum) bringAlong(ctx context.Context) {
	at, to := q.also.url(), q.link.url()
	if at == to || q.err() != nil || q.also.blockedBy() != "" { // blocked, nothing is read
		return
	}
	asking, cancel := context.WithTimeout(ctx, askWithin)
	defer cancel()
	conn, err := q.also.get(asking)
	if err != nil {
		return
	}
	select {
	case err = <-q.ask(ctx, conn).answer:
	case <-asking.Done():
		err = fmt.Errorf("no answer within %s", askWithin)
	}
	if err == nil || conn.IsClosed() || ctx.Err() != nil {
		return
	}
	q.tellLeaving(at, to, err)
	q.also.leave(at, to)
}

func (q *quorum) tellLeaving(from, to int, err error) {
	q.link.cfg.Logger.Warn("leaving a node of the broker for another", "from", host(q.link.cfg.URLs[from]), "to", host(q.link.cfg.URLs[to]), "error", err)
}

// await waits for an answer, and for another node while there is none.
func (q *quorum) await(ctx context.Context, conn *amqp.Connection, s *question) {
	began, look := time.Now(), lookEvery
	timer := time.NewTimer(askWithin)
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case err := <-s.answer:
			if err == nil {
				q.serves()
			}
			if err == nil || conn.IsClosed() || ctx.Err() != nil {
				return
			}
			q.lose(fmt.Errorf("the broker's node %s does not serve its queues: %w", q.link.host(), err))
			s = &question{} // no answer comes any more
			s.opened.Store(true)
		case <-timer.C:
			q.lose(fmt.Errorf("the broker's node %s does not serve its queues: no answer within %s; it hangs, or has lost the majority of its cluster", q.link.host(), askWithin))
		}
		if q.leave(ctx, conn, s) {
			return
		}
		if time.Since(began) > unansweredAtMost {
			q.names.Add(1)
			q.link.breakOff(conn)
			return
		}
		timer.Reset(look)
		look = min(2*look, lookAtMost)
	}
}

func (q *quorum) serves() {
	if q.set(nil) {
		q.link.cfg.Logger.Info("the broker's node serves its queues again", "node", q.link.host())
	}
}

func (q *quorum) lose(err error) {
	if q.set(err) {
		q.link.cfg.Logger.Error("the broker's node does not serve its queues; looking for another", "error", err)
	}
}

// leave breaks the connections off if another node answers better.
func (q *quorum) leave(ctx context.Context, conn *amqp.Connection, s *question) bool {
	at := q.link.url()
	to, ok := q.better(ctx, conn, at, s.opened.Load())
	if !ok {
		return false
	}
	if to == at { // what was asked before was lost on its way
		q.serves()
		return true
	}
	q.tellLeaving(at, to, q.err())
	q.link.leave(at, to)
	q.also.leave(at, to)
	q.set(nil) // the next question is to the other
	return true
}

// better returns a node that serves its queues: this one, if it does when it is
// asked once more, or another; or, if this one does not answer at all, one that
// answers.
func (q *quorum) better(ctx context.Context, conn *amqp.Connection, at int, opened bool) (to int, ok bool) {
	within := askWithin
	if !opened { // any answer is better
		within = time.Second
	}
	type candidate struct {
		to              int
		opened, answers bool
	}
	ctx, cancel := context.WithTimeout(ctx, within)
	defer cancel()
	urls := q.link.cfg.URLs
	found := make(chan candidate, len(urls))
	judge := func(i int, conn *amqp.Connection) {
		s := q.ask(ctx, conn)
		c := candidate{to: i}
		select {
		case err := <-s.answer:
			c.answers = err == nil
		case <-ctx.Done():
		}
		c.opened = s.opened.Load() && i != at
		found <- c
	}
	for i, u := range urls {
		q.all.Go(func() {
			if i == at {
				judge(i, conn)
				return
			}
			other, raw, err := q.link.dialOne(u)
			if err != nil {
				found <- candidate{to: i}
				return
			}
			defer hangUp(other, raw)
			judge(i, other)
		})
	}
	to = -1
	for range urls {
		select {
		case c := <-found:
			if c.answers {
				return c.to, true
			}
			if c.opened && !opened {
				to = c.to
			}
		case <-time.After(within + time.Second): // one cannot even be dialled
			return to, to >= 0
		}
	}
	return to, to >= 0
}
