package sqlqueue

import (
	"context"
	stdsql "database/sql"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/ThreeDotsLabs/watermill"

	"github.com/answerfeed/answerfeed/app/database"
	"github.com/answerfeed/answerfeed/internal/transport"
)

const (
	// standEvery is how often the queues' table and clock are looked at.
	standEvery = time.Second
	// readEvery is how often a process says that it reads, and readFor how
	// long that holds.
	readEvery, readFor = 5 * time.Second, 15 * time.Second
	// standWithin bounds one look, and the last word of a transport that closes.
	standWithin = 5 * time.Second
	// clockSlack is how far the clock may go back without being corrected.
	clockSlack = time.Second
	// clockLeap is how far it may run ahead of the time that passed without
	// being told of.
	clockLeap = time.Minute
)

// registrar keeps, for all consumers of a transport, the tables beside the
// messages. It makes a queue again that was deleted underfoot, says which
// queues this process reads, and keeps the queues' time from going back with
// the database's clock.
type registrar struct {
	t      *Transport
	reader string // this process among all
	ctx    context.Context
	stop   context.CancelFunc
	kick   chan struct{}
	once   sync.Once
	wg     sync.WaitGroup

	mu        sync.Mutex
	consumers map[*consumer]struct{}

	// Of run alone.
	saidAt  time.Time // when the readers were written last
	said    bool      // they were, ever
	failing bool
	clock   int64     // the queues' time at the last look
	clockAt time.Time // and when that was
}

func newRegistrar(t *Transport) *registrar {
	r := &registrar{t: t, reader: watermill.NewULID(), kick: make(chan struct{}, 1), consumers: map[*consumer]struct{}{}}
	r.ctx, r.stop = context.WithCancel(context.Background())
	return r
}

// join registers a consumer until leave.
func (r *registrar) join(c *consumer) (leave func()) {
	r.mu.Lock()
	r.consumers[c] = struct{}{}
	r.mu.Unlock()
	r.once.Do(func() { r.wg.Go(r.run) })
	select {
	case r.kick <- struct{}{}:
	default:
	}
	return func() {
		r.mu.Lock()
		defer r.mu.Unlock()
		delete(r.consumers, c)
	}
}

func (r *registrar) close() {
	r.stop()
	r.wg.Wait()
}

func (r *registrar) run() {
	tick := time.NewTicker(standEvery)
	defer tick.Stop()
	for {
		select {
		case <-r.ctx.Done():
			r.sayEnd()
			return
		case <-r.kick:
			r.saidAt = time.Time{}
		case <-tick.C:
		}
		r.report(r.stand())
	}
}

// report logs that the tables cannot be kept, or can be again: once a change.
func (r *registrar) report(err error) {
	if r.ctx.Err() != nil || (err != nil) == r.failing {
		return
	}
	if r.failing = err != nil; r.failing {
		r.t.cfg.Logger.Warn("the queues could not be looked after; trying again", "error", err)
	} else {
		r.t.cfg.Logger.Info("the queues are looked after again")
	}
}

// stand does once what is to be done.
func (r *registrar) stand() error {
	ctx, cancel := context.WithTimeout(r.ctx, standWithin)
	defer cancel()
	began := time.Now()
	queues, now, seen, err := r.look(ctx)
	if err != nil {
		return fmt.Errorf("looking at the queues: %w", err)
	}
	if now < seen-clockSlack.Microseconds() {
		if now, err = r.catchUp(ctx); err != nil {
			return fmt.Errorf("correcting the queues' time: %w", err)
		}
		r.clock = 0 // the correction is no leap
	}
	r.tellOfLeap(now, began)
	if err := r.keep(ctx, queues); err != nil {
		return fmt.Errorf("making queues again: %w", err)
	}
	if time.Since(r.saidAt) >= readEvery {
		if err := r.say(ctx); err != nil {
			return fmt.Errorf("saying which queues are read: %w", err)
		}
		r.saidAt, r.said = began, true
	}
	return nil
}

// look reads the ids of all queues by name, the queues' time, and the last
// time that was seen.
func (r *registrar) look(ctx context.Context) (queues map[string]int64, now, seen int64, err error) {
	rows, err := r.t.db.Read().QueryContext(ctx, r.t.queries.standing)
	if err != nil {
		return nil, 0, 0, err
	}
	defer rows.Close()
	queues = map[string]int64{}
	for rows.Next() {
		var name stdsql.NullString
		var id stdsql.NullInt64
		if err := rows.Scan(&now, &seen, &name, &id); err != nil {
			return nil, 0, 0, err
		}
		if name.Valid {
			queues[name.String] = id.Int64
		}
	}
	return queues, now, seen, rows.Err()
}

// keep makes again what is missing of the consumers' queues. Messages that
// still have the old id keep their queue; but of a queue that is being pruned,
// that id is taken.
func (r *registrar) keep(ctx context.Context, queues map[string]int64) error {
	var missing []*consumer
	for _, c := range r.all() {
		id, there := queues[c.cfg.Name()]
		_, dead := queues[c.cfg.DeadQueue()]
		if !there || !dead {
			missing = append(missing, c)
		}
		if there && c.queue.Swap(id) != id {
			c.mark.reset()
			r.t.cfg.Logger.Warn("a queue was made anew by others; reading the new one", "queue", c.cfg.Name())
		}
	}
	if len(missing) == 0 {
		return nil
	}
	ids := make([]int64, len(missing))
	err := r.t.db.Update(ctx, database.Durable, func(ctx context.Context, tx *stdsql.Tx) error {
		for _, c := range missing {
			dead := 0
			if c.cfg.Dead {
				dead = 1
			}
			if _, err := tx.ExecContext(ctx, r.t.queries.readopt, c.cfg.Name(), c.cfg.Topic, c.cfg.Handler, dead, c.queue.Load()); err != nil {
				return err
			}
		}
		for i, c := range missing {
			if err := r.t.addQueues(ctx, tx, c.cfg.Subscription); err != nil {
				return err
			}
			if err := tx.QueryRowContext(ctx, r.t.queries.findQueue, c.cfg.Name()).Scan(&ids[i]); err != nil {
				return fmt.Errorf("looking for queue %s: %w", c.cfg.Name(), err)
			}
		}
		return nil
	})
	if err != nil {
		return err
	}
	for i, c := range missing {
		if c.queue.Swap(ids[i]) != ids[i] {
			c.mark.reset()
		}
		if _, there := queues[c.cfg.Name()]; !there {
			r.t.cfg.Logger.Warn("a queue was deleted while it was read, and is made again", "queue", c.cfg.Name())
		}
	}
	return nil
}

// all are the consumers, in the order in which all processes write their queues.
func (r *registrar) all() []*consumer {
	r.mu.Lock()
	defer r.mu.Unlock()
	var all []*consumer
	for c := range r.consumers {
		all = append(all, c)
	}
	slices.SortFunc(all, func(a, b *consumer) int { return strings.Compare(a.cfg.Name(), b.cfg.Name()) })
	return all
}

// say writes which queues this process reads, and the time.
func (r *registrar) say(ctx context.Context) error {
	all := r.all()
	return r.t.db.Update(ctx, database.Relaxed, func(ctx context.Context, tx *stdsql.Tx) error {
		if _, err := tx.ExecContext(ctx, r.t.queries.sawClock); err != nil {
			return err
		}
		for _, c := range all {
			if _, err := tx.ExecContext(ctx, r.t.queries.read, r.reader, c.cfg.Name(), readFor.Microseconds()); err != nil {
				return err
			}
		}
		return nil
	})
}

// sayEnd takes it back: a transport that was closed reads nothing. When that
// fails, it ends after readFor.
func (r *registrar) sayEnd() {
	if !r.said {
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), standWithin)
	defer cancel()
	err := r.t.db.Update(ctx, database.Relaxed, func(ctx context.Context, tx *stdsql.Tx) error {
		if _, err := tx.ExecContext(ctx, r.t.queries.sawClock); err != nil {
			return err
		}
		_, err := tx.ExecContext(ctx, r.t.queries.unread, r.reader)
		return err
	})
	if err != nil {
		r.t.cfg.Logger.Debug("that the queues are read no more could not be said", "error", err)
	}
}

// addQueues adds the queue of a subscription, and its dead queue.
func (t *Transport) addQueues(ctx context.Context, tx *stdsql.Tx, s transport.Subscription) error {
	for dead, name := range []string{s.Queue(), s.DeadQueue()} {
		if _, err := tx.ExecContext(ctx, t.queries.addQueue, name, s.Topic, s.Handler, dead); err != nil {
			return fmt.Errorf("adding queue %s: %w", name, err)
		}
	}
	return nil
}
