package verify

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/ThreeDotsLabs/watermill/message"

	"github.com/answerfeed/answerfeed/app/database"
	"github.com/answerfeed/answerfeed/internal/producer"
)

const (
	// troubleLasts is how long a trouble stays that the run makes and undoes.
	troubleLasts = 1500 * time.Millisecond
	// failoverLasts is how long events are published around a failover.
	failoverLasts = time.Second
	// undoWithin bounds the undoing of one.
	undoWithin = 30 * time.Second
	// policy is the name of the policies that the run applies.
	policy = "answerfeed-verify"
)

// renamed are the tables of the worker that are renamed underfoot: without the
// first nothing takes effect, without the second no letter is stored.
func renamed() []string { return []string{"inbox", "dead_letters"} }

// lasts is how long the trouble stays; 0 = the fault is a moment.
func (f Fault) lasts() time.Duration {
	switch f {
	case TableRename, DiskFull, RefusingQueue:
		return troubleLasts
	case DeliveryLimit:
		return 2 * troubleLasts
	case Failover:
		return failoverLasts
	}
	return 0
}

// trouble makes a trouble that is not the end of a process, and undoes it
// after a while.
func (r *run) trouble(ctx context.Context, s step) error {
	switch s.fault {
	case TableRename:
		return r.while(ctx, r.rename(s.table, s.table+"_away"), r.rename(s.table+"_away", s.table))
	case DiskFull:
		return r.while(ctx, func(context.Context) error { return r.Disk.Fill() }, r.Disk.Free)
	case DeliveryLimit:
		return r.while(ctx, r.limitDeliveries, r.clearPolicy)
	case RefusingQueue:
		return r.while(ctx, r.policy(r.queueName()+"$", `{"max-length":1,"overflow":"reject-publish"}`), r.clearPolicy)
	case Failover:
		if pair, ok := r.Database.(Pair); ok {
			return pair.FailOver(ctx)
		}
	case LargeMessage:
		return r.publishLarge(ctx)
	case ClosedByBroker:
		return r.closeConnections(ctx)
	}
	return fmt.Errorf("the fault %q is unknown", s.fault)
}

// while lets the trouble last between do and undo. The undoing does not depend
// on ctx: what is configured must not stay broken.
func (r *run) while(ctx context.Context, do, undo func(context.Context) error) error {
	err := do(ctx)
	if err == nil {
		err = pause(ctx, troubleLasts)
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), undoWithin)
	defer cancel()
	return errors.Join(err, undo(ctx))
}

// rename renames a table, again and again until the lock is to be had.
func (r *run) rename(from, to string) func(context.Context) error {
	return func(ctx context.Context) error {
		ctx, cancel := context.WithTimeout(ctx, undoWithin)
		defer cancel()
		for {
			err := r.db.Update(ctx, database.Durable, func(ctx context.Context, tx *sql.Tx) error {
				_, err := tx.ExecContext(ctx, "ALTER TABLE "+from+" RENAME TO "+to)
				return err
			})
			if err == nil {
				return nil
			}
			if pause(ctx, lookEvery) != nil {
				return fmt.Errorf("renaming the table %s: %w", from, err)
			}
		}
	}
}

// queueName is the pattern of the handler's queue, and of what belongs to it.
func (r *run) queueName() string {
	return "^" + r.place.direct["transport.prefix"] + Topic + `\.` + HandlerName
}

func (r *run) policy(pattern, definition string) func(context.Context) error {
	return func(ctx context.Context) error {
		_, err := r.Broker.Ctl(ctx, "set_policy", policy, pattern, definition, "--apply-to", "queues")
		return err
	}
}

func (r *run) clearPolicy(ctx context.Context) error {
	_, err := r.Broker.Ctl(ctx, "clear_policy", policy)
	return err
}

// limitDeliveries lets the broker give up what it delivered twice, and cuts
// all connections twice, so that whatever is in flight meets that limit.
func (r *run) limitDeliveries(ctx context.Context) error {
	if err := r.policy(r.queueName(), `{"delivery-limit":1}`)(ctx); err != nil {
		return err
	}
	for range 2 {
		if err := r.closeConnections(ctx); err != nil {
			return err
		}
		if err := pause(ctx, troubleLasts/2); err != nil {
			return err
		}
	}
	return nil
}

func (r *run) closeConnections(ctx context.Context) error {
	_, err := r.Broker.Ctl(ctx, "close_all_connections", "verify closes them")
	return err
}

// publishLarge publishes a message that the broker takes from nobody, over the
// channels of the run's own publisher. Nothing else may suffer, and the message
// must not be confirmed.
func (r *run) publishLarge(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, undoWithin)
	defer cancel()
	payload := `{"event_id":"large` + strconv.Itoa(r.extra) + `","text":"` + strings.Repeat("x", r.MessageLimit) + `"}`
	large := producer.NewMessage("", []byte(payload), nil)
	large.SetContext(ctx)
	err := r.client.Publisher().Publish(Topic, []*message.Message{large}...)
	switch {
	case err == nil:
		r.problem("a message over the broker's limit was confirmed")
	case ctx.Err() != nil:
		r.problem("a message over the broker's limit was not refused within %s", undoWithin)
	}
	return nil
}
