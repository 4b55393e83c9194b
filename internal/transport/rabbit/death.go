package rabbit

import (
	"context"
	"fmt"
	"strings"
	"time"

	wmiddleware "github.com/ThreeDotsLabs/watermill/message/router/middleware"
	amqp "github.com/rabbitmq/amqp091-go"

	"github.com/answerfeed/answerfeed/internal/transport"
)

// death is why a broker gave a message up.
type death struct {
	queue  string // in which that was
	reason string // one of those below, as the worker's letters have it
	at     time.Time
	ttl    string // the message's own time to live in ms, if it had one
}

// The reasons that a broker has for giving a message up.
const (
	expired       = "expired"
	tooMany       = "maxlen"
	rejected      = "rejected"
	overLimit     = "delivery-limit"
	unknownReason = "unknown"
)

// reasonOf is the worker's word for the broker's: one of a few, whatever a
// foreign publisher writes into such a header.
func reasonOf(broker string) string {
	switch broker {
	case expired, tooMany, rejected:
		return broker
	case "delivery_limit":
		return overLimit
	}
	return unknownReason
}

// deathOf reads the last death in the queue, else the last of all: the broker
// writes one entry a queue and reason into x-death, the latest first. From
// 3.13 on it names the last reason besides.
func deathOf(headers amqp.Table, queue string) (last death, found bool) {
	entries, _ := headers["x-death"].([]any)
	reason, _ := headers["x-last-death-reason"].(string)
	lastQueue, _ := headers["x-last-death-queue"].(string)
	best := -1
	for _, entry := range entries {
		table, ok := entry.(amqp.Table)
		if !ok {
			continue
		}
		d := death{}
		d.queue, _ = table["queue"].(string)
		entryReason, _ := table["reason"].(string)
		d.reason = reasonOf(entryReason)
		d.at, _ = table["time"].(time.Time)
		d.ttl, _ = table["original-expiration"].(string)
		rank := 0
		if d.queue == queue {
			rank = 1
			if lastQueue == queue && entryReason == reason {
				rank = 2
			}
		}
		if rank > best {
			last, best = d, rank
		}
	}
	return last, best >= 0
}

// fromDead says what becomes of a message in a dead queue. What an older worker
// put there is a letter. What the broker put there was given up by the broker
// alone: over a delivery limit it goes back to its queue, and is handled like
// anything that came back; for any other reason it is a letter.
func (t *Transport) fromDead(s transport.Subscription) func(amqp.Delivery) (moved, error) {
	queue := t.cfg.Prefix + s.Queue()
	return func(d amqp.Delivery) (moved, error) {
		m, err := (Marshaler{}).Unmarshal(d)
		if err != nil {
			return moved{}, fmt.Errorf("reading a message of %s: %w", deadName(queue), err)
		}
		why, byBroker := deathOf(d.Headers, queue)
		if !byBroker {
			return moved{to: lettersName(queue), message: m}, nil
		}
		if why.reason == overLimit && why.queue == queue {
			// The limit is passed at the second return at the earliest, unless it is 0.
			transport.SetCount(m, transport.KeyReturns, transport.Count(m, transport.KeyReturns)+2)
			return moved{to: queue, message: m, tell: func() { t.deaths.returned(s, queue) }}, nil
		}
		m.Metadata.Set(wmiddleware.ReasonForPoisonedKey, why.reason)
		m.Metadata.Set(wmiddleware.PoisonedTopicKey, s.Topic)
		m.Metadata.Set(wmiddleware.PoisonedHandlerKey, s.Handler)
		m.Metadata.Set(transport.KeyError, why.text())
		at := why.at
		if at.IsZero() {
			at = time.Now()
		}
		transport.SetTime(m, transport.KeyLastFailedAt, at)
		if transport.Time(m, transport.KeyFirstFailedAt).IsZero() {
			transport.SetTime(m, transport.KeyFirstFailedAt, at)
		}
		attempts, id := transport.Count(m, transport.KeyAttempts), m.Metadata.Get(transport.KeyCorrelationID)
		return moved{to: lettersName(queue), message: m, tell: func() { t.deaths.letter(s, queue, why, attempts, id) }}, nil
	}
}

// text says what the broker did, and what to do about it.
func (d death) text() string {
	queue := cut(d.queue)
	switch d.reason {
	case expired:
		if d.ttl != "" {
			return fmt.Sprintf("the broker gave the message up: its own time to live of %s ms ended in queue %s; let producers set no expiration", cut(d.ttl), queue)
		}
		return fmt.Sprintf("the broker gave the message up: it waited in queue %s for longer than a policy's message-ttl; take that from the policy", queue)
	case tooMany:
		return fmt.Sprintf("the broker gave the message up: queue %s is longer than a policy's max-length or max-length-bytes; take that from the policy, or let it reject-publish", queue)
	case rejected:
		return fmt.Sprintf("another program rejected the message in queue %s", queue)
	case overLimit:
		return fmt.Sprintf("the broker gave the message up: it was delivered from queue %s more often than the queue's delivery limit allows", queue)
	}
	return fmt.Sprintf("the broker gave the message up in queue %s, for a reason that is not known", queue)
}

// cut keeps what others wrote from filling a log.
func cut(text string) string { return strings.ToValidUTF8(text[:min(len(text), maxShort)], "?") }

// fromHeld brings letters back that exceeded a delivery limit.
func (t *Transport) fromHeld(s transport.Subscription) func(amqp.Delivery) (moved, error) {
	queue := t.cfg.Prefix + s.Queue()
	return func(d amqp.Delivery) (moved, error) {
		m, err := (Marshaler{}).Unmarshal(d)
		if err != nil {
			return moved{}, fmt.Errorf("reading a message of %s: %w", heldName(queue), err)
		}
		return moved{to: lettersName(queue), message: m, tell: func() { t.deaths.returned(s, lettersName(queue)) }}, nil
	}
}

// fromOldDelay puts a message into the delay queue that lives, for the whole
// delay: how long it waited is not known.
func (t *Transport) fromOldDelay(ctx context.Context, s transport.Subscription, delay time.Duration) func(amqp.Delivery) (moved, error) {
	queue := t.cfg.Prefix + s.Queue()
	return func(d amqp.Delivery) (moved, error) {
		m, err := (Marshaler{}).Unmarshal(d)
		if err == nil {
			err = t.declareDelay(ctx, s, delay)
		}
		if err != nil {
			return moved{}, fmt.Errorf("moving a message out of %s: %w", oldDelayName(queue, delay), err)
		}
		return moved{to: delayName(queue, delay), message: m}, nil
	}
}
