package database

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"runtime"
	"slices"
	"sync"
	"time"
)

// ErrClosed is returned by a Batcher that was closed.
var ErrClosed = errors.New("database: closed")

// yieldTries is how often a batch is tried that the database gives up for the
// sake of another transaction.
const yieldTries = 3

// gatherTries is how often a batch that begins lets others run first, as long
// as it grows by it.
const gatherTries = 16

// commitWithin bounds one batch, waiting for the lock included.
const commitWithin = lockWait + 30*time.Second

// Batcher commits many callers' items together: those that arrive while a
// commit is under way share the next. There is no timer, so a lone caller
// waits for nobody.
type Batcher[T any] struct {
	max      int
	transact func(ctx context.Context, items []T) (refused bool, err error)
	// late is the error of an item whose caller's time ran out.
	late func(item T, err error) error

	mu      sync.Mutex
	pending []request[T] // as many as there are callers
	closed  bool
	wake    chan struct{} // there is something pending, or the end
	done    chan struct{}
}

type request[T any] struct {
	item T
	err  chan error // buffered: the committer never waits for a caller
}

// NewBatcher starts the committer of items. At most max items share one
// transaction, in which apply is called once. When apply fails, the items are
// applied again, each in a transaction of its own, so that a bad item fails
// alone: apply must touch nothing but tx.
func NewBatcher[T any](db *DB, d Durability, max int, apply func(ctx context.Context, tx *sql.Tx, items []T) error) *Batcher[T] {
	return NewGroup(max, inUpdate(db, d, apply))
}

// NewOwnBatcher is [NewBatcher] for the worker's own tables: an error for which
// no item's values can be to blame is [Trouble], and so is a time that runs out
// while an item waits for its commit.
func NewOwnBatcher[T any](db *DB, d Durability, max int, apply func(ctx context.Context, tx *sql.Tx, items []T) error) *Batcher[T] {
	b := newBatcher(max, inUpdate(db, d, func(ctx context.Context, tx *sql.Tx, items []T) error {
		return db.troubled(apply(ctx, tx, items), true)
	}))
	b.late = func(_ T, err error) error { return db.troubled(fmt.Errorf("waiting for the database: %w", err), true) }
	go b.run()
	return b
}

func inUpdate[T any](db *DB, d Durability, apply func(ctx context.Context, tx *sql.Tx, items []T) error) func(context.Context, []T) (bool, error) {
	return func(ctx context.Context, items []T) (refused bool, err error) {
		err = db.Update(ctx, d, func(ctx context.Context, tx *sql.Tx) error {
			err := apply(ctx, tx, items)
			refused = err != nil
			return err
		})
		return refused, err
	}
}

// NewGroup is [NewBatcher] for items that are committed in another way:
// transact commits all of them or none. refused tells that it was the items'
// doing, or may have been: other errors, such as a lock that was not to be
// had, are no item's fault.
func NewGroup[T any](max int, transact func(ctx context.Context, items []T) (refused bool, err error)) *Batcher[T] {
	b := newBatcher(max, transact)
	go b.run()
	return b
}

func newBatcher[T any](max int, transact func(ctx context.Context, items []T) (refused bool, err error)) *Batcher[T] {
	return &Batcher[T]{
		max: max, transact: transact, wake: make(chan struct{}, 1), done: make(chan struct{}),
		late: func(_ T, err error) error { return err },
	}
}

// Do returns nil when the item is committed. When ctx ends first it returns
// ctx's error, wrapped, and the item may be committed or not.
func (b *Batcher[T]) Do(ctx context.Context, item T) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	r := request[T]{item: item, err: make(chan error, 1)}
	b.mu.Lock()
	if b.closed {
		b.mu.Unlock()
		return ErrClosed
	}
	b.pending = append(b.pending, r)
	first := len(b.pending) == 1
	b.mu.Unlock()
	if first {
		b.signal()
	}
	select {
	case err := <-r.err:
		return err
	case <-ctx.Done():
		return b.late(item, ctx.Err())
	}
}

// Close commits what was accepted and ends the committer.
func (b *Batcher[T]) Close() {
	b.mu.Lock()
	b.closed = true
	b.mu.Unlock()
	b.signal()
	<-b.done
}

func (b *Batcher[T]) signal() {
	select {
	case b.wake <- struct{}{}:
	default:
	}
}

func (b *Batcher[T]) run() {
	defer close(b.done)
	batch := make([]request[T], 0, b.max)
	for {
		var closed bool
		batch, closed = b.next(batch[:0])
		switch {
		case len(batch) > 0:
			b.commit(batch)
			clear(batch)
		case closed:
			return
		default:
			<-b.wake
			b.gather()
		}
	}
}

// gather lets those run who are about to come, as messages that were delivered
// together: the first would else be committed alone, and the others behind it.
// It waits for nothing.
func (b *Batcher[T]) gather() {
	for range gatherTries {
		before := b.waiting()
		runtime.Gosched()
		if b.waiting() == before {
			return
		}
	}
}

func (b *Batcher[T]) waiting() int {
	b.mu.Lock()
	defer b.mu.Unlock()
	return len(b.pending)
}

// next moves the next batch out of what is pending.
func (b *Batcher[T]) next(batch []request[T]) (_ []request[T], closed bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	n := min(len(b.pending), b.max)
	batch = append(batch, b.pending[:n]...)
	b.pending = slices.Delete(b.pending, 0, n)
	return batch, b.closed
}

// commit applies the batch, and each item alone when one may be at fault.
func (b *Batcher[T]) commit(batch []request[T]) {
	items := make([]T, len(batch))
	for i, r := range batch {
		items[i] = r.item
	}
	refused, err := b.try(items)
	for try := 1; try < yieldTries && refused && atOnce(err); try++ {
		refused, err = b.try(items)
	}
	// Where each would fare no better, one needs not find out for each.
	alone := refused && len(batch) > 1 && !Retryable(err) && !Unavailable(err) && sqlState(err) != pgCanceled
	for i, r := range batch {
		if alone {
			_, err = b.try(items[i : i+1])
		}
		r.err <- err
	}
}

// atOnce reports an error after which the same may succeed without a pause: the
// transaction was given up for another's sake, or a statement that was prepared
// before the tables were altered is prepared anew.
func atOnce(err error) bool {
	switch sqlState(err) {
	case pgLockNotAvailable: // it has waited long enough
		return false
	case pgStalePlan, pgNoSuchStatement:
		return true
	}
	return Retryable(err)
}

func (b *Batcher[T]) try(items []T) (refused bool, err error) {
	ctx, cancel := context.WithTimeout(context.Background(), commitWithin)
	defer cancel()
	return b.transact(ctx, items)
}
