package database

import (
	"context"
	"database/sql"
	"errors"
	"sync"
	"time"
)

// ErrClosed is returned by a Batcher that was closed.
var ErrClosed = errors.New("database: closed")

// commitWithin bounds one batch, waiting for the lock included.
const commitWithin = lockWait + 30*time.Second

// Batcher commits many callers' items together: those that arrive while a
// commit is under way share the next. There is no timer, so a lone caller
// waits for nobody.
type Batcher[T any] struct {
	db    *DB
	d     Durability
	max   int
	apply func(ctx context.Context, tx *sql.Tx, items []T) error

	queue   chan request[T]
	closing chan struct{}
	close   sync.Once
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
	b := &Batcher[T]{
		db: db, d: d, max: max, apply: apply,
		queue: make(chan request[T]), closing: make(chan struct{}), done: make(chan struct{}),
	}
	go b.run()
	return b
}

// Do returns nil when the item is committed. When ctx ends first it returns
// ctx's error, and the item may be committed or not.
func (b *Batcher[T]) Do(ctx context.Context, item T) error {
	r := request[T]{item: item, err: make(chan error, 1)}
	select {
	case b.queue <- r:
	case <-b.closing:
		return ErrClosed
	case <-ctx.Done():
		return ctx.Err()
	}
	select {
	case err := <-r.err:
		return err
	case <-ctx.Done():
		return ctx.Err()
	}
}

// Close commits what was accepted and ends the committer.
func (b *Batcher[T]) Close() {
	b.close.Do(func() { close(b.closing) })
	<-b.done
}

func (b *Batcher[T]) run() {
	defer close(b.done)
	batch := make([]request[T], 0, b.max)
	for {
		select {
		case r := <-b.queue:
			batch = append(batch[:0], r)
		case <-b.closing:
			return
		}
		for more := true; more && len(batch) < b.max; {
			select {
			case r := <-b.queue:
				batch = append(batch, r)
			default:
				more = false
			}
		}
		b.commit(batch)
		clear(batch)
	}
}

// commit applies the batch, and each item alone when that fails.
func (b *Batcher[T]) commit(batch []request[T]) {
	items := make([]T, len(batch))
	for i, r := range batch {
		items[i] = r.item
	}
	refused, err := b.transact(items)
	if !refused || len(batch) == 1 {
		for _, r := range batch {
			r.err <- err
		}
		return
	}
	for i, r := range batch {
		_, err := b.transact(items[i : i+1])
		r.err <- err
	}
}

// transact also tells whether it was apply that failed: other errors, such as
// a lock that was not to be had, are no item's fault.
func (b *Batcher[T]) transact(items []T) (refused bool, err error) {
	ctx, cancel := context.WithTimeout(context.Background(), commitWithin)
	defer cancel()
	err = b.db.Update(ctx, b.d, func(ctx context.Context, tx *sql.Tx) error {
		err := b.apply(ctx, tx, items)
		refused = err != nil
		return err
	})
	return refused, err
}
