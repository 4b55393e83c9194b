package rabbit

import amqp "github.com/rabbitmq/amqp091-go"

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
