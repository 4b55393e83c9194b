package verify

import (
	"context"
	"database/sql"
	"fmt"
	"slices"
	"time"

	"github.com/ThreeDotsLabs/watermill/message"

	"github.com/answerfeed/answerfeed/app/database"
	"github.com/answerfeed/answerfeed/app/outbox"
)

const (
	// publishBatch is how many messages one call publishes.
	publishBatch = 100
	// publishWithin bounds one call; insistWithin all calls for one batch.
	publishWithin, insistWithin = 10 * time.Second, 3 * time.Minute
	// insistPause is between two of them.
	insistPause = 20 * time.Millisecond
	// publishPart is how many are published at once over a time.
	publishPart = 40
	// tricklePart is how many events are published to keep processes at work.
	tricklePart = 16
)

// publish publishes events, and some earlier ones again, in no order, until
// all are confirmed. One in outboxShare goes by the outbox.
func (r *run) publish(ctx context.Context, items []item, outboxShare int) error {
	again := r.ledger.again(len(items))
	all := append(slices.Clone(items), again...)
	r.ledger.random.Shuffle(len(all), func(i, j int) { all[i], all[j] = all[j], all[i] })
	byOutbox := len(all) / outboxShare
	if err := r.store(ctx, all[:byOutbox]); err != nil {
		return err
	}
	for batch := range slices.Chunk(all[byOutbox:], publishBatch) {
		if err := r.send(ctx, batch); err != nil {
			return err
		}
		r.ledger.messages += len(batch)
	}
	r.ledger.messages += byOutbox
	if len(items) > 0 {
		r.ledger.confirmed = items[len(items)-1].number + 1
	}
	return nil
}

// publishOver publishes events over a time, in parts, so that a trouble which
// lasts meets events that are new.
func (r *run) publishOver(ctx context.Context, items []item, d time.Duration) error {
	if d == 0 {
		return r.publish(ctx, items, oneInOutbox)
	}
	parts := max(1, len(items)/publishPart)
	for part := range slices.Chunk(items, publishPart) {
		if err := r.publish(ctx, part, oneInOutbox); err != nil {
			return err
		}
		if err := pause(ctx, d/time.Duration(parts)); err != nil {
			return err
		}
	}
	return nil
}

// trickle publishes a few more, of every kind.
func (r *run) trickle(ctx context.Context) error {
	r.extra += tricklePart
	return r.publish(ctx, r.ledger.next(tricklePart, true), 2)
}

// send publishes a batch as a producer does whose broker may go away: again,
// until it is confirmed.
func (r *run) send(ctx context.Context, items []item) error {
	return r.insist(ctx, func(ctx context.Context) error {
		msgs := make([]*message.Message, len(items))
		for i, item := range items {
			msgs[i] = item.message()
			msgs[i].SetContext(ctx)
		}
		return r.client.Publisher().Publish(Topic, msgs...)
	})
}

// store puts events into the outbox, in one transaction.
func (r *run) store(ctx context.Context, items []item) error {
	if len(items) == 0 {
		return nil
	}
	return r.insist(ctx, func(ctx context.Context) error {
		return r.db.Update(ctx, database.Durable, func(ctx context.Context, tx *sql.Tx) error {
			for _, item := range items {
				if err := outbox.Publish(ctx, tx, Topic, item); err != nil {
					return err
				}
			}
			return nil
		})
	})
}

// insist tries until it succeeds.
func (r *run) insist(ctx context.Context, try func(context.Context) error) error {
	deadline := time.Now().Add(insistWithin)
	for {
		one, cancel := context.WithTimeout(ctx, publishWithin)
		err := try(one)
		cancel()
		switch {
		case err == nil:
			return nil
		case ctx.Err() != nil:
			return ctx.Err()
		case time.Now().After(deadline):
			return fmt.Errorf("nothing could be published for %s: %w", insistWithin, err)
		}
		r.ledger.failures++
		if err := pause(ctx, insistPause); err != nil {
			return err
		}
	}
}
