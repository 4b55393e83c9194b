package rabbit

import (
	"context"
	"fmt"
	"sync/atomic"

	amqp "github.com/rabbitmq/amqp091-go"
)

// probeQueues is how many queues there are to ask with. The next is used
// when one seems to be broken.
const probeQueues = 3

// probeName is a queue to ask with. It stays empty.
func probeName(prefix string, n int) string {
	return fmt.Sprintf("%sanswerfeed.probe.%d", prefix, n%probeQueues+1)
}

// question is one on its way to a node.
type question struct {
	opened atomic.Bool // the node has answered something
	answer chan error  // has room for it
}

func (q *quorum) ask(ctx context.Context, conn *amqp.Connection) *question {
	s := &question{answer: make(chan error, 1)}
	q.all.Go(func() { s.answer <- q.get(ctx, conn, s) })
	return s
}

// get takes from the probe queue, which is declared where it is missing. What
// anybody has put there goes back. Where the user may not ask, the broker logs
// each question, so nothing is asked any more, and a node is believed that
// opens a channel. Nothing is declared once ctx has ended.
func (q *quorum) get(ctx context.Context, conn *amqp.Connection, s *question) error {
	name := probeName(q.link.cfg.Prefix, int(q.names.Load()))
	on := func(do func(*amqp.Channel) error) error {
		ch, err := conn.Channel()
		if err != nil {
			return err
		}
		s.opened.Store(true)
		defer ch.Close() //nolint:errcheck // it may be closed already
		return do(ch)
	}
	if q.barred.Load() {
		return on(func(*amqp.Channel) error { return nil })
	}
	take := func(ch *amqp.Channel) error {
		_, _, err := ch.Get(name, false)
		return err
	}
	err := on(take)
	if code(err) == amqp.NotFound && ctx.Err() == nil {
		err = on(func(ch *amqp.Channel) error {
			_, err := ch.QueueDeclare(name, true, false, false, false, amqp.Table{"x-queue-type": "quorum"})
			return err
		})
		if err == nil { // a queue may be known of whose members are all gone
			err = on(take)
		}
	}
	switch code(err) {
	case amqp.AccessRefused, amqp.PreconditionFailed, amqp.ResourceLocked:
		if !q.barred.Swap(true) {
			q.link.cfg.Logger.Warn("the broker's node cannot be asked whether it serves its queues: a worker on a node that has lost the majority of its cluster will not leave it; "+
				"give the broker's user the rights to configure and read this queue", "queue", name, "error", err)
		}
		return nil
	}
	return err
}
