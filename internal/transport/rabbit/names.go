package rabbit

import (
	"slices"
	"time"

	amqp "github.com/rabbitmq/amqp091-go"
)

// queuesExchange leads to every queue by its name. Topics have no dot in
// their names, so none can be called this.
const queuesExchange = "answerfeed.queues"

// maxDelay in milliseconds is less than the 2³² that the broker can express.
const maxDelay = 45 * 24 * time.Hour

// noLimit is the greatest delivery limit that RabbitMQ 3.10, 4.0 and 4.3 all
// take. From 4.0 a queue that names none has one of 20; -1 drops on 3.10.
const noLimit = int64(1)<<31 - 1

// The names of what belongs to a handler's queue.

// deadName is the queue into which the broker moves what the main queue gives
// up, and in which older workers put letters. Its arguments are theirs, so it
// has no limit of its own and nowhere to go from there: nothing may rest in it.
func deadName(queue string) string { return queue + ".dead" }

// lettersName is the queue in which dead letters rest until they are stored.
func lettersName(queue string) string { return queue + ".letters" }

// heldName is the queue into which letters go that exceed a delivery limit.
func heldName(queue string) string { return queue + ".held" }

// delayName is answer-added.feed.delay.5s.
func delayName(queue string, delay time.Duration) string {
	return queue + ".delay." + shortDuration(delay)
}

// oldDelayName is the delay queue of older workers, which the broker
// deletes a day after it was made, with what is in it.
func oldDelayName(queue string, delay time.Duration) string {
	return queue + ".retry." + shortDuration(delay)
}

// queueArguments are those of a handler's queue. They are permanent, and older
// workers declare the same: it dead-letters by the default exchange, or by the
// one of ours where that is given.
func queueArguments(queue, by string) amqp.Table { return deadLettering(by, deadName(queue)) }

// deadArguments are those of the dead queue, permanent as well.
func deadArguments() amqp.Table { return amqp.Table{"x-queue-type": "quorum"} }

// lettersArguments make a queue that keeps what it holds: over a delivery
// limit, which a policy may lower, a letter goes to the held queue.
func lettersArguments(queue, by string) amqp.Table {
	a := deadLettering(by, heldName(queue))
	a["x-delivery-limit"] = noLimit
	return a
}

// heldArguments make a classic queue: on no version of RabbitMQ does it have a
// delivery limit, and no policy can give it one. The type is named, since a
// virtual host may have another by default.
func heldArguments() amqp.Table { return amqp.Table{"x-queue-type": "classic"} }

// delayArguments make a queue that gives each message back after the delay. It
// never expires: RabbitMQ counts a quorum queue's x-expires from its creation
// or last consumer, however often it is declared, and drops what is in it.
func delayArguments(queue, by string, delay time.Duration) amqp.Table {
	a := deadLettering(by, queue)
	a["x-message-ttl"] = (delay + time.Millisecond - 1).Milliseconds() // never too early
	return a
}

// deadLettering are the arguments of a quorum queue whose expired and
// rejected messages go to another queue, and are kept until they are there.
func deadLettering(by, to string) amqp.Table {
	return amqp.Table{
		"x-queue-type":              "quorum",
		"x-dead-letter-exchange":    by,
		"x-dead-letter-routing-key": to,
		"x-dead-letter-strategy":    "at-least-once",
		"x-overflow":                "reject-publish",
	}
}

// shortDuration is time.Duration's text without zero minutes and seconds.
func shortDuration(d time.Duration) string {
	text := d.String()
	for _, zero := range []string{"m0s", "h0m"} {
		if n := len(text) - len(zero) + 1; n > 0 && text[n-1:] == zero {
			text = text[:n]
		}
	}
	return text
}

// ladder are the delays beyond a schedule: so that what a service asks for by
// Retry-After never makes more than a few queues.
func ladder() []time.Duration {
	var steps []time.Duration
	for _, unit := range []time.Duration{time.Second, time.Minute, time.Hour} {
		steps = append(steps, unit, 2*unit, 5*unit, 10*unit, 20*unit, 30*unit)
	}
	const day = 24 * time.Hour
	for d := 2 * day; d <= maxDelay; d += day {
		steps = append(steps, d)
	}
	return steps
}

// roundDelay is the least of the handler's delays that is long enough, or,
// beyond them, the next step of the ladder. What is beyond the broker's
// greatest delay comes back before its time.
func roundDelay(delays []time.Duration, want time.Duration) time.Duration {
	best := time.Duration(0)
	for _, d := range delays {
		if d >= want && d > 0 && (best == 0 || d < best) {
			best = d
		}
	}
	if best > 0 {
		return best
	}
	for _, step := range ladder() {
		if step >= want {
			return step
		}
	}
	return maxDelay
}

func distinct(delays []time.Duration) []time.Duration {
	return slices.Compact(slices.Sorted(slices.Values(delays)))
}
