package app

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"

	"github.com/ThreeDotsLabs/watermill/message"

	"github.com/answerfeed/answerfeed/app/database"
	"github.com/answerfeed/answerfeed/config"
	"github.com/answerfeed/answerfeed/internal/deadletter"
	"github.com/answerfeed/answerfeed/internal/memory"
	"github.com/answerfeed/answerfeed/internal/transport"
	"github.com/answerfeed/answerfeed/internal/transport/rabbit"
	"github.com/answerfeed/answerfeed/internal/transport/sqlqueue"
)

// Client is the opened transport and database, without handlers that run: for
// verbs that publish, look, or migrate.
type Client struct {
	opts       Options
	metrics    *registrations
	db         *database.DB        // nil: not opened
	queueDB    *database.DB        // of the SQL transport: db itself where they are one
	transport  transport.Transport // nil: not opened
	durability database.Durability
	letters    *deadletter.Store // nil: the tables are not opened
	memory     memory.Plan
	life       lifecycle
}

// Open opens the transport and the database, and brings their tables and
// queues up to date unless the configuration says not to; then they must be
// so already. For what is away it waits: see Options.ConnectWithin.
func Open(ctx context.Context, opts Options) (*Client, error) {
	return opened(opts, func(c *Client) error {
		if err := c.connectDatabase(ctx); err != nil {
			return err
		}
		if err := c.openTransport(ctx, opts.Config.Transport); err != nil {
			return err
		}
		if err := c.readyTables(ctx); err != nil { // one sentence, not two
			return err
		}
		return c.readyQueues(ctx)
	})
}

// OpenQueues is Open without the tables, unless they are in the queues' own
// database: Publisher and Queues work, also while the database of the tables
// is away. OpenTables may follow.
func OpenQueues(ctx context.Context, opts Options) (*Client, error) {
	return opened(opts, func(c *Client) error {
		if err := c.openTransport(ctx, opts.Config.Transport); err != nil {
			return err
		}
		if c.db != nil {
			if err := c.readyTables(ctx); err != nil {
				return err
			}
		}
		return c.readyQueues(ctx)
	})
}

// OpenDesk is Open without the queues: everything at the desk works but to
// send letters back, also while the broker is away.
func OpenDesk(ctx context.Context, opts Options) (*Client, error) {
	return opened(opts, func(c *Client) error { return c.OpenTables(ctx) })
}

// opened is a Client after open; a failed one leaves nothing open.
func opened(opts Options, open func(*Client) error) (*Client, error) {
	if err := opts.complete(); err != nil {
		return nil, err
	}
	c := &Client{opts: opts, metrics: &registrations{Registry: opts.Registry}, memory: memory.Divide(memory.Limit(opts.Config.Memory.Bytes()))}
	if err := open(c); err != nil {
		err = errors.Join(err, c.Close())
		c.metrics.giveBack()
		return nil, err
	}
	return c, nil
}

// OpenTables opens the database beside the queues, if it is not open.
func (c *Client) OpenTables(ctx context.Context) error {
	if c.letters != nil {
		return nil
	}
	if err := c.connectDatabase(ctx); err != nil {
		return err
	}
	return c.readyTables(ctx)
}

// readyTables migrates or checks the tables, and opens what is on them.
func (c *Client) readyTables(ctx context.Context) error {
	ready := c.db.Check
	if c.opts.Config.Migrate {
		ready = c.migrateTables
	}
	if err := ready(ctx); err != nil {
		return err
	}
	c.letters = deadletter.New(c.db, c.durability)
	c.life.then(c.letters.Close)
	return nil
}

// readyQueues migrates or checks the queues.
func (c *Client) readyQueues(ctx context.Context) error {
	if c.opts.Config.Migrate {
		return c.transport.Migrate(ctx, c.opts.subscriptions())
	}
	return c.transport.Check(ctx, nil)
}

// openTransport opens the queues that the configuration names.
func (c *Client) openTransport(ctx context.Context, cfg config.Transport) (err error) {
	// Unless the acknowledgement lies in the effect's own file, the effect
	// must be on the disk before it. On PostgreSQL, too: a server that crashes
	// takes back what was not flushed, while the worker lives on and
	// acknowledges it as soon as the server is back.
	c.durability = database.Durable
	if cfg.Kind == config.KindAMQP {
		queues, err := rabbit.New(ctx, rabbit.Config{
			URLs:       append([]string{cfg.AMQP.URL}, cfg.AMQP.Failover...),
			Management: cfg.AMQP.Management,
			Prefix:     cfg.Prefix,
			CA:         cfg.AMQP.CA,
			Cert:       cfg.AMQP.Cert,
			Key:        cfg.AMQP.Key,
			ServerName: cfg.AMQP.ServerName,
			Heartbeat:  cfg.AMQP.Heartbeat,

			ConnectTimeout: c.opts.within(cfg.AMQP.ConnectTimeout),
			Name:           cfg.AMQP.Name,
			Subscriptions:  c.opts.subscriptions(),
			Registry:       c.metrics,
			Logger:         c.opts.Logger,
		})
		if err != nil {
			return err
		}
		c.transport = queues
		c.life.closing(queues.Close)
		return nil
	}
	var queueDB *database.DB
	if sameDatabase(cfg.SQL, c.opts.Config.Database) {
		if cfg.SQL.Driver == config.DriverSQLite {
			c.durability = database.Relaxed
		}
		if err := c.connectDatabase(ctx); err != nil {
			return err
		}
		queueDB = c.db
	} else {
		if queueDB, err = c.connect(ctx, "transport.sql", cfg.SQL); err != nil {
			return err
		}
		c.life.closing(queueDB.Close)
	}
	c.queueDB = queueDB
	queues, err := sqlqueue.New(queueDB, sqlqueue.Config{Prefix: cfg.Prefix, Logger: c.opts.Logger})
	if err != nil {
		return err
	}
	c.transport = queues
	c.life.closing(queues.Close)
	return nil
}

// sameDatabase reports that both lead to one SQLite file, or name the same
// PostgreSQL database in the same words: then one pool serves both.
func sameDatabase(a, b config.Database) bool {
	if a.Driver != b.Driver {
		return false
	}
	if a.Driver == config.DriverPostgres {
		return a.DSN == b.DSN
	}
	pathA, errA := filepath.Abs(a.DSN)
	pathB, errB := filepath.Abs(b.DSN)
	return errA == nil && errB == nil && pathA == pathB
}

// Migrate brings tables and queues up to date.
func (c *Client) Migrate(ctx context.Context) error {
	if err := c.migrateTables(ctx); err != nil {
		return err
	}
	return c.transport.Migrate(ctx, c.opts.subscriptions())
}

// migrateTables brings the tables up to date, those of handlers included.
func (c *Client) migrateTables(ctx context.Context) error {
	if err := c.db.Migrate(ctx); err != nil {
		return err
	}
	for _, h := range c.opts.Handlers {
		if h.Migrate == nil {
			continue
		}
		if err := h.Migrate(ctx, c.db); err != nil {
			return fmt.Errorf("migrating the tables of handler %s: %w", h.Name, err)
		}
	}
	return nil
}

// Prune removes the queues of a handler, with what is in them, and returns
// their names. A handler that is still in the program gets new ones at the
// next start.
func (c *Client) Prune(ctx context.Context, handler string) ([]string, error) {
	return c.transport.Prune(ctx, handler)
}

// Remove takes back what Open, or an App, made under the transport's prefix:
// queues, exchanges and tables of the handlers in opts, with all that is in
// them. It returns [transport.ErrNoPrefix] when there is no prefix. What a
// handler's own Migrate made is the caller's to remove.
func Remove(ctx context.Context, opts Options) (err error) {
	if err := opts.complete(); err != nil {
		return err
	}
	c := &Client{opts: opts, metrics: &registrations{Registry: opts.Registry}, memory: memory.Divide(memory.Limit(opts.Config.Memory.Bytes()))}
	defer func() { err = errors.Join(err, c.Close()) }()
	if err := c.openTransport(ctx, opts.Config.Transport); err != nil {
		return err
	}
	return c.transport.Remove(ctx, opts.subscriptions())
}

// Publisher publishes with confirmation: see [transport.Transport].
func (c *Client) Publisher() message.Publisher { return c.transport.Publisher() }

// Close closes what Open opened.
func (c *Client) Close() error { return c.life.close(context.Background()) }
