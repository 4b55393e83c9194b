package rabbit

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	amqp "github.com/rabbitmq/amqp091-go"

	"github.com/answerfeed/answerfeed/app/transport"
)

// errNacked: the broker refused to keep a message, or went away before it
// said that it did.
var errNacked = errors.New("the broker did not confirm the message")

// request is one Publish call on its way to a lane.
type request struct {
	exchange, key string
	messages      []amqp.Publishing
	sent          chan<- sent
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
// never waits for a confirmation: those who published do.
type lane struct {
	ch      *amqp.Channel
	returns *returned
	ended   chan struct{}
	why     *amqp.Error // the broker closed the channel; read it after ended
}

// runLanes serves requests on one lane after the other, until the link is
// closed.
func runLanes(l *link, requests <-chan request, done chan<- struct{}) {
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
		n := &lane{ch: ch, returns: watchReturns(ch), ended: make(chan struct{})}
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
		case r := <-requests:
			s := sent{lane: n, request: r, before: n.returns.count(r.exchange, r.key)}
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
			if s.err == nil {
				continue
			}
			if n.ch.IsClosed() {
				n.why = <-closed
			} else { // written in part, perhaps
				_ = n.ch.Close()
			}
			return
		}
	}
}

// wait waits for the broker's word on every message.
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
	if s.err == nil && !s.lane.ch.IsClosed() {
		return errNacked
	}
	select {
	case <-s.lane.ended:
		return s.explain()
	case <-ctx.Done():
		return ctx.Err()
	}
}

// explain says why the channel was closed. The broker closes it under all who
// publish there: its reason is the answer only to those whom it names, as in
// "NOT_FOUND - no exchange 'answer-added' in vhost '/'".
func (s *sent) explain() error {
	why := s.lane.why
	if why == nil {
		return errors.Join(errNacked, s.err)
	}
	if strings.Contains(why.Reason, "'"+cmp.Or(s.request.exchange, "amq.default")+"'") {
		switch why.Code {
		case amqp.NotFound:
			return fmt.Errorf("%w: %s", transport.ErrNoQueue, why.Reason)
		case amqp.AccessRefused:
			return explainDeclare(why)
		}
	}
	return fmt.Errorf("%w: %s", errNacked, why.Reason)
}

// returned counts the messages that a channel's broker sent back, by route.
//
// RabbitMQ sends a message back before it confirms it, and amqp091 hands both
// out in that order, the first to an unbuffered channel. So whoever saw the
// confirmation and then asks here is behind the return.
type returned struct {
	asks   chan ask
	counts map[route]int // read it after done
	done   chan struct{}
}

type route struct{ exchange, key string }

type ask struct {
	route
	answer chan int
}

func watchReturns(ch *amqp.Channel) *returned {
	r := &returned{asks: make(chan ask), counts: map[route]int{}, done: make(chan struct{})}
	returns := ch.NotifyReturn(make(chan amqp.Return))
	go func() {
		defer close(r.done)
		for {
			select {
			case m, open := <-returns:
				if !open {
					return
				}
				r.counts[route{m.Exchange, m.RoutingKey}]++
			case a := <-r.asks:
				a.answer <- r.counts[a.route]
			}
		}
	}()
	return r
}

func (r *returned) count(exchange, key string) int {
	a := ask{route{exchange, key}, make(chan int, 1)}
	select {
	case r.asks <- a:
		return <-a.answer
	case <-r.done: // the channel is gone
		return r.counts[a.route]
	}
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
