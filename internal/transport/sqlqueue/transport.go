package sqlqueue

import (
	"context"
	stdsql "database/sql"
	"errors"
	"fmt"
	"log/slog"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/ThreeDotsLabs/watermill/message"

	"github.com/answerfeed/answerfeed/app/database"
	"github.com/answerfeed/answerfeed/internal/transport"
	"github.com/answerfeed/answerfeed/internal/transport/inflight"
)

// Config says where the queue table is and how claims live.
type Config struct {
	// Prefix is put before each table's name: [a-z0-9_-]{0,32}. Defaults to
	// none.
	Prefix string
	// Lease is how long a claim lasts without being extended: the time after
	// which the messages of a worker that died are delivered to others. A
	// living worker extends it as long as a handler works. Defaults to 15 s.
	Lease time.Duration
	// NackPause is the least time before a nacked message comes back.
	// Defaults to 1 s.
	NackPause time.Duration
	// Logger defaults to slog.Default().
	Logger *slog.Logger
}

var validPrefix = regexp.MustCompile(`^[a-z0-9_-]{0,32}$`)

func (c *Config) setDefaults() error {
	if !validPrefix.MatchString(c.Prefix) {
		return fmt.Errorf("prefix %q: it may have up to 32 of a-z, 0-9, _ and -", c.Prefix)
	}
	if c.Lease <= 0 {
		c.Lease = 15 * time.Second
	}
	if c.NackPause <= 0 {
		c.NackPause = time.Second
	}
	if c.Logger == nil {
		c.Logger = slog.Default()
	}
	return nil
}

// Transport is the queue table as a [transport.Transport].
type Transport struct {
	db        *database.DB
	cfg       Config
	queries   queries
	publisher *publisher
	lookout   *lookout     // nil on SQLite
	keeper    *housekeeper // nil on SQLite
	registrar *registrar

	consumers inflight.Set
}

var _ transport.Transport = (*Transport)(nil)

// New returns a transport on db, which stays the caller's to close, after it.
func New(db *database.DB, cfg Config) (*Transport, error) {
	if err := cfg.setDefaults(); err != nil {
		return nil, fmt.Errorf("SQL transport: %w", err)
	}
	s := NewSchema(db, cfg.Prefix)
	t := &Transport{
		db: db, cfg: cfg, queries: s.queries,
		publisher: newPublisher(db, s),
	}
	t.registrar = newRegistrar(t)
	if db.Driver() == database.Postgres {
		t.lookout, t.keeper = newLookout(t), newHousekeeper(t)
	}
	return t, nil
}

// Migrate makes the tables, and the queues of the subscriptions.
func (t *Transport) Migrate(ctx context.Context, subs []transport.Subscription) error {
	if err := t.db.MigrateSchema(ctx, schema(t.db, t.cfg.Prefix)); err != nil {
		return err
	}
	// All starters in the same order, so that none waits for one that waits
	// for it.
	subs = slices.SortedFunc(slices.Values(subs), func(a, b transport.Subscription) int {
		return strings.Compare(a.Queue(), b.Queue())
	})
	return t.db.Update(ctx, database.Durable, func(ctx context.Context, tx *stdsql.Tx) error {
		for _, s := range subs {
			if err := t.addQueues(ctx, tx, s); err != nil {
				return err
			}
		}
		// So that a clock that goes back before anybody has read is seen, too.
		_, err := tx.ExecContext(ctx, t.queries.sawClock)
		return err
	})
}

// Check reports, as [database.ErrSchema], tables that Migrate has not made,
// and as [transport.ErrNoQueue] a queue.
func (t *Transport) Check(ctx context.Context, subs []transport.Subscription) error {
	if err := t.db.CheckSchema(ctx, schema(t.db, t.cfg.Prefix)); err != nil {
		return err
	}
	for _, s := range subs {
		for _, name := range []string{s.Queue(), s.DeadQueue()} {
			var id int64
			err := t.db.Read().QueryRowContext(ctx, t.queries.findQueue, name).Scan(&id)
			if errors.Is(err, stdsql.ErrNoRows) {
				return fmt.Errorf("%w: there is no queue %s; run `worker migrate`", transport.ErrNoQueue, name)
			}
			if err != nil {
				return fmt.Errorf("looking for queue %s: %w", name, err)
			}
		}
	}
	return nil
}

// column reads the only column of a query's rows.
func column[T any](rows *stdsql.Rows, err error) ([]T, error) {
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var all []T
	for rows.Next() {
		var v T
		if err := rows.Scan(&v); err != nil {
			return nil, err
		}
		all = append(all, v)
	}
	return all, rows.Err()
}

// Publisher returns the shared publisher.
func (t *Transport) Publisher() message.Publisher { return t.publisher }

// Redeliver puts the message back with a delay, in place.
func (t *Transport) Redeliver(ctx context.Context, m *message.Message, delay time.Duration) error {
	return t.move(ctx, m, settlement{op: opRedeliver, delay: delay})
}

// DeadLetter moves the message to its handler's dead queue, in place.
func (t *Transport) DeadLetter(ctx context.Context, m *message.Message) error {
	return t.move(ctx, m, settlement{op: opDead})
}

func (t *Transport) move(ctx context.Context, m *message.Message, s settlement) error {
	d, _ := transport.DeliveryOf(m)
	claim, ok := d.Claim.(*claim)
	if !ok || claim.consumer.cfg.AtMostOnce {
		return errors.New("moving a message: it was not delivered by this transport with at-least-once")
	}
	metadata, err := encodeMetadata(m.Metadata)
	if err != nil {
		return fmt.Errorf("moving a message of %s: %w", claim.consumer.cfg.Name(), err)
	}
	s.claim, s.metadata, s.done = claim, metadata, make(chan error, 1)
	claim.consumer.settle(s)
	select {
	case err := <-s.done:
		if err != nil {
			return fmt.Errorf("moving a message of %s: %w", claim.consumer.cfg.Name(), err)
		}
		return nil
	case <-ctx.Done():
		return fmt.Errorf("moving a message of %s: %w", claim.consumer.cfg.Name(), ctx.Err())
	}
}

// Backlog counts the messages of each handler and topic.
func (t *Transport) Backlog(ctx context.Context) ([]transport.Backlog, error) {
	rows, err := t.db.Read().QueryContext(ctx, t.queries.backlog)
	if err != nil {
		return nil, fmt.Errorf("counting the backlog: %w", err)
	}
	defer rows.Close()
	var all []transport.Backlog
	for rows.Next() {
		var b transport.Backlog
		var dead bool
		var oldest int64
		if err := rows.Scan(&b.Topic, &b.Handler, &dead, &b.Ready, &b.InFlight, &b.Delayed, &oldest); err != nil {
			return nil, fmt.Errorf("counting the backlog: %w", err)
		}
		if dead { // the row of the queue itself comes before it, unless somebody changed the table by hand
			if last := len(all) - 1; last >= 0 && all[last].Topic == b.Topic && all[last].Handler == b.Handler {
				all[last].Dead = b.Ready + b.InFlight + b.Delayed
			}
			continue
		}
		b.Oldest = time.Duration(max(oldest, 0)) * time.Microsecond
		all = append(all, b)
	}
	if err := rows.Err(); err != nil {
		return nil, fmt.Errorf("counting the backlog: %w", err)
	}
	return all, nil
}

// Ping asks the database for an answer.
func (t *Transport) Ping(ctx context.Context) error { return t.db.Ping(ctx) }

// listen returns a channel that receives when there may be something new for
// c: on SQLite, whenever somebody committed.
func (t *Transport) listen(c *consumer) (changes <-chan struct{}, stop func()) {
	leave := t.registrar.join(c)
	if t.lookout == nil {
		changes, unsubscribe := t.db.Changes()
		return changes, func() { unsubscribe(); leave() }
	}
	t.keeper.start()
	news, unsubscribe := t.lookout.join(c)
	return news, func() { unsubscribe(); leave() }
}

// Close closes what still consumes, with the grace that it has, and then
// publishing.
func (t *Transport) Close() error {
	t.consumers.Close()
	t.registrar.close()
	t.publisher.batch.Close()
	if t.lookout != nil {
		t.lookout.close()
		t.keeper.close()
	}
	return nil
}
