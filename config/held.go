package config

import (
	"fmt"
	"time"
)

// maxHold is how long a message waits at most for what it needs, before it goes back to its queue.
const maxHold = 5 * time.Minute

// held reports a handler that may keep one delivery for longer than RabbitMQ waits: then it closes the channel and gives
// the message to the next. With at-most-once the message is acknowledged before it is handled.
func (ch *checker) held(key string, h Handler, limit time.Duration) {
	if longest := longestDelivery(h); h.Delivery == AtLeastOnce && pauses(h.Retry) <= MaxPauses && longest >= limit {
		ch.complain(fmt.Sprintf("one delivery may last %s (attempts %d × (timeout %s + 5s), and the pauses between them), and RabbitMQ takes "+
			"a message back after %s (the broker's consumer_timeout, and transport.amqp.consumer_timeout here): lower timeout or attempts, use redeliver, "+
			"raise both, or use transport.kind sql",
			shortDuration((longest+time.Second-1).Truncate(time.Second)), h.Retry.Attempts, shortDuration(h.Timeout), shortDuration(limit)),
			key+".timeout", key+".retry.attempts", key+".retry.backoff", "transport.amqp.consumer_timeout", "transport.kind")
	}
}

// longestDelivery is how long a message may hold its place: every try ends by its timeout and goes on for as long as
// it is waited for then, 5 s, and every pause has the most jitter.
func longestDelivery(h Handler) time.Duration {
	const patience = 5 * time.Second
	quick := pauses(h.Retry)
	return time.Duration(h.Retry.Attempts)*(h.Timeout+patience) + quick + quick/5
}

// Hold is how long a message of the handler may wait for what it needs, such as a database that is away, before it goes
// back to its queue: 5 min. On RabbitMQ it is so much less that waiting unread, waiting in work and the work together stay
// below the broker's consumer_timeout. Without a handler it is that of a message that is only stored.
func (t Transport) Hold(h *Handler) time.Duration {
	if t.Kind != KindAMQP {
		return maxHold
	}
	left := t.AMQP.ConsumerTimeout
	if h != nil && h.Delivery == AtLeastOnce {
		left -= longestDelivery(*h)
	}
	const shares = 3 // the two waits, and what is not foreseen
	return max(min(maxHold, left/shares), time.Millisecond)
}
