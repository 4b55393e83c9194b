package rabbit

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	amqp "github.com/rabbitmq/amqp091-go"

	"github.com/answerfeed/answerfeed/internal/transport"
)

var (
	// errNacked: a queue did not take a message.
	errNacked = errors.New("the broker refused the message")
	// errUnanswered: the broker went away before it said that it has a message.
	errUnanswered = errors.New("the broker did not confirm the message")
)

// request is messages of one Publish call on their way to a lane.
type request struct {
	exchange, key string
	messages      []amqp.Publishing
	sent          chan<- *sent
}

// sent is what a lane has written of a request.
type sent struct {
	lane          *lane
	request       request
	before        int // messages that the route had returned before these
	confirmations []*amqp.DeferredConfirmation
	err           error // of writing
}

// lane is a channel in confirm mode with the goroutine that writes to it. It
// never waits for a confirmation: those who published do. A lane of its own
// for each message does wait: then a channel that the broker closes is that
// message's fault.
type lane struct {
	conn    *amqp.Connection
	ch      *amqp.Channel
	returns *returned
	single  time.Duration // how long a message has the lane for itself, at most; 0 = not at all
	refused chan struct{} // a message was
	retired atomic.Bool   // the channel is closed because of that, and every answer was there
	ended   chan struct{}
	recent  []*sent     // not answered yet, or not long ago
	tidyAt  int         // when recent is that long, what is answered leaves it
	why     *amqp.Error // the broker closed the channel; read it after ended
}

// runLanes serves requests on one lane after the other, until the link is
// closed.
func runLanes(l *link, requests <-chan request, single time.Duration, done chan<- struct{}) {
	defer close(done)
	for l.ctx.Err() == nil {
		conn, err := l.get(l.ctx)
		if err != nil {
			return
		}
		ch, err := conn.Channel()
		if err == nil {
			err = ch.Confirm(false)
		}
		if err != nil {
			sleep(l.ctx, dialPause)
			continue
		}
		n := &lane{conn: conn, ch: ch, returns: watchReturns(ch), single: single, refused: make(chan struct{}, 1), ended: make(chan struct{})}
		n.serve(l.ctx, requests)
	}
}

// serve writes requests until the channel breaks. Closing the connection
// closes it.
func (n *lane) serve(ctx context.Context, requests <-chan request) {
	defer close(n.ended)
	closed := n.ch.NotifyClose(make(chan *amqp.Error, 1))
	for {
		select {
		case <-ctx.Done():
			return
		case n.why = <-closed:
			return
		case <-n.refused:
			n.retire()
			return
		case r := <-requests:
			s := &sent{lane: n, request: r, before: n.returns.count(r.exchange, r.key)}
			for _, p := range r.messages {
				// A context would not interrupt writing.
				c, err := n.ch.PublishWithDeferredConfirm(r.exchange, r.key, true, false, p)
				if err != nil {
					s.err = err
					break
				}
				s.confirmations = append(s.confirmations, c)
			}
			r.sent <- s
			n.note(s)
			if s.err == nil && (n.single == 0 || s.settled(n.single)) {
				continue
			}
			if n.ch.IsClosed() {
				n.why = <-closed
			} else { // written in part, perhaps, or not answered
				_ = n.ch.Close()
			}
			return
		}
	}
}

// retireWithin bounds the wait for what a channel that is given up has not
// answered yet.
const retireWithin = 2 * time.Second

// retire gives the channel up after a refusal, once the rest of what it sent
// is answered. RabbitMQ 3.10 goes on to refuse on a channel on which a full
// queue has refused, also when the policy that limited the queue is gone.
func (n *lane) retire() {
	answered := true
	until := time.Now().Add(retireWithin)
	for _, s := range n.recent {
		answered = answered && s.settled(time.Until(until))
	}
	n.retired.Store(answered)
	_ = n.ch.Close()
}

// note adds what was sent to what is outstanding, of which it leaves out, once
// in a while, what is answered.
func (n *lane) note(s *sent) {
	if len(n.recent) >= n.tidyAt {
		n.recent = slices.DeleteFunc(n.recent, (*sent).answered)
		n.tidyAt = max(64, 2*len(n.recent))
	}
	n.recent = append(n.recent, s)
}

// answered tells that every message has an answer.
func (s *sent) answered() bool {
	for _, c := range s.confirmations {
		select {
		case <-c.Done():
		default:
			return false
		}
	}
	return true
}

// settled waits for the answers on a lane that has one request at a time.
// Without them the next request would be blamed for what this one does.
func (s *sent) settled(within time.Duration) bool {
	timer := time.NewTimer(within)
	defer timer.Stop()
	for _, c := range s.confirmations {
		select {
		case <-c.Done():
		case <-timer.C:
			return s.answered()
		}
	}
	return !s.lane.ch.IsClosed()
}

// wait waits for the broker's word on every message; the confirmations tell
// which are safe. The error is nil when all are.
func (s *sent) wait(ctx context.Context) error {
	confirmed := s.err == nil
	for _, c := range s.confirmations {
		ok, err := c.WaitContext(ctx)
		if err != nil {
			return err
		}
		confirmed = confirmed && ok
	}
	if s.lane.returns.count(s.request.exchange, s.request.key) > s.before {
		return transport.ErrNoQueue
	}
	if confirmed {
		return nil
	}
	if s.err == nil && (!s.lane.ch.IsClosed() || s.lane.retired.Load()) {
		select {
		case s.lane.refused <- struct{}{}:
		default:
		}
		return errNacked
	}
	select {
	case <-s.lane.ended:
		return s.explain()
	case <-ctx.Done():
		return ctx.Err()
	}
}

// closedError says that the broker closed a channel, and no more than that,
// for a reason that it does not give by name.
type closedError struct{ why *amqp.Error }

func (e *closedError) Error() string { return errUnanswered.Error() + ": " + e.why.Reason }

func (e *closedError) Unwrap() error { return e.why }

// explain says why the channel was closed. The broker closes it under all who
// publish there: its reason is the answer only to those whom it names, as in
// "NOT_FOUND - no exchange 'answer-added' in vhost '/'".
func (s *sent) explain() error {
	why := s.lane.why
	if why == nil {
		return errors.Join(errUnanswered, s.err)
	}
	if s.lane.conn.IsClosed() { // which concerns nobody's message
		return fmt.Errorf("%w: %s", errUnanswered, why.Reason)
	}
	mine := strings.Contains(why.Reason, "'"+s.request.exchange+"'")
	switch {
	case mine && why.Code == amqp.NotFound:
		return fmt.Errorf("%w: %s", transport.ErrNoQueue, why.Reason)
	case mine && why.Code == amqp.AccessRefused:
		return fmt.Errorf("%w: %w", transport.ErrForbidden, explainDeclare(why))
	case why.Code == amqp.NotFound, why.Code == amqp.AccessRefused:
		return fmt.Errorf("%w: %s", errUnanswered, why.Reason)
	}
	return &closedError{why}
}

// sleep returns early when ctx ends.
func sleep(ctx context.Context, d time.Duration) {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
	case <-t.C:
	}
}
