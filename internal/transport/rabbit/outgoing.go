package rabbit

import (
	"fmt"
	"slices"

	"github.com/ThreeDotsLabs/watermill/message"
	amqp "github.com/rabbitmq/amqp091-go"

	"github.com/answerfeed/answerfeed/internal/transport"
)

// outgoing is what one call of Publish has still to bring to the broker. A
// message leaves it when it is confirmed or given up, so that only what is
// neither is sent again.
type outgoing struct {
	exchange, key string
	messages      []amqp.Publishing
	open          []int // indexes of messages, in their order
	failed        []transport.Unpublished
	unanswered    int  // how often messages were sent, and the channel ended before the answer
	doubtful      bool // one of them may have closed a channel, nobody knows which
}

func newOutgoing(exchange, key string, msgs []*message.Message) *outgoing {
	o := &outgoing{exchange: exchange, key: key, messages: make([]amqp.Publishing, len(msgs)), open: make([]int, 0, len(msgs))}
	for i, m := range msgs {
		p, err := (Marshaler{}).Marshal(m)
		if err != nil {
			o.failed = append(o.failed, transport.Unpublished{Index: i, Err: err})
			continue
		}
		o.messages[i] = p
		o.open = append(o.open, i)
	}
	return o
}

// err is nil when every message is confirmed.
func (o *outgoing) err() error {
	if len(o.failed) == 0 {
		return nil
	}
	return &transport.PublishError{Unpublished: o.failed, Total: len(o.messages)}
}

// giveUp gives up what is open.
func (o *outgoing) giveUp(err error) {
	o.giveUpIf(func(int) error { return err })
}

// giveUpIf gives up those open messages for which why has an error.
func (o *outgoing) giveUpIf(why func(i int) error) {
	before := len(o.failed)
	o.keepOpen(func(i int) bool {
		err := why(i)
		if err != nil {
			o.failed = append(o.failed, transport.Unpublished{Index: i, Err: err})
		}
		return err == nil
	})
	if len(o.failed) > before {
		slices.SortFunc(o.failed, func(a, b transport.Unpublished) int { return a.Index - b.Index })
	}
}

// keepOpen closes the messages for which keep is false.
func (o *outgoing) keepOpen(keep func(i int) bool) {
	kept := o.open[:0]
	for _, i := range o.open {
		if keep(i) {
			kept = append(kept, i)
		}
	}
	o.open = kept
}

// split tells which open messages may share a channel, and which go one by
// one on a channel of their own, because the broker may close it for them.
func (o *outgoing) split(proven int) (together, singly []int) {
	if o.doubtful {
		return nil, append(singly, o.open...)
	}
	for n, i := range o.open {
		if len(o.messages[i].Body) > proven {
			together = append([]int{}, o.open[:n]...)
			for _, i := range o.open[n:] {
				if len(o.messages[i].Body) > proven {
					singly = append(singly, i)
				} else {
					together = append(together, i)
				}
			}
			return together, singly
		}
	}
	return append(together, o.open...), nil
}

// smallest is the open message with the shortest body.
func (o *outgoing) smallest() amqp.Publishing {
	best := o.messages[o.open[0]]
	for _, i := range o.open {
		if len(o.messages[i].Body) < len(best.Body) {
			best = o.messages[i]
		}
	}
	return best
}

// tooLarge says why a connection does not take a message, or nil.
func (s sizes) tooLarge(p amqp.Publishing) error {
	if s.limit > 0 && len(p.Body) > s.limit {
		return fmt.Errorf("%w: the payload has %d bytes, and this broker takes %d at most (max_message_size)", transport.ErrTooLarge, len(p.Body), s.limit)
	}
	if header := headerFrame(p); s.frame > 0 && header > s.frame {
		return fmt.Errorf("%w: UUID and metadata have %d bytes, and a frame of this broker %d at most (frame_max)", transport.ErrTooLarge, header, s.frame)
	}
	return nil
}

// headerFrame is at least the size of the frame that carries a message's
// properties, which the protocol cannot divide.
func headerFrame(p amqp.Publishing) int {
	const fixed = 64 // the frame, the flags, what has a fixed size
	size := fixed + len(p.MessageId) + len(p.CorrelationId)
	for key, value := range p.Headers {
		text, _ := value.(string) // as Marshal writes them all
		size += headerSize(key, text)
	}
	return size
}
