package app

import (
	"context"
	"fmt"
	"time"

	"github.com/answerfeed/answerfeed/app/database"
	"github.com/answerfeed/answerfeed/config"
)

const (
	// databaseWithin is how long a start waits for a database that is away: as
	// long as for a broker.
	databaseWithin = 30 * time.Second
	// askAgain is the pause between two tries.
	askAgain = 250 * time.Millisecond
)

// within is how long to wait for what is away, where the configuration says
// otherwise.
func (o *Options) within(otherwise time.Duration) time.Duration {
	if o.ConnectWithin > 0 {
		return min(o.ConnectWithin, otherwise)
	}
	return otherwise
}

// connectDatabase opens the database of the tables, if it is not open.
func (c *Client) connectDatabase(ctx context.Context) (err error) {
	if c.db != nil {
		return nil
	}
	db, err := c.connect(ctx, "database", c.opts.Config.Database)
	if err != nil {
		return err
	}
	c.db = db
	c.life.closing(db.Close)
	return nil
}

// cache is what one SQLite file may have of the caches: half, when queues and
// tables are in two.
func (c *Client) cache() int64 {
	all := c.opts.Config
	if all.Transport.Kind == config.KindSQL && all.Transport.SQL.Driver == config.DriverSQLite &&
		all.Database.Driver == config.DriverSQLite && !sameDatabase(all.Transport.SQL, all.Database) {
		return c.memory.Caches / 2
	}
	return c.memory.Caches
}

// connect opens a database, and waits for a server that is away. section is
// where the configuration names the database.
func (c *Client) connect(ctx context.Context, section string, cfg config.Database) (*database.DB, error) {
	if cfg.Driver != config.DriverPostgres {
		return database.Open(ctx, database.Config(cfg), database.Cache(c.cache()))
	}
	within := c.opts.within(databaseWithin)
	trying, cancel := context.WithTimeout(ctx, within)
	defer cancel()
	var last error // of a try that was not cut short
	for {
		db, err := database.Open(trying, database.Config(cfg))
		if err == nil {
			return db, nil
		}
		if trying.Err() == nil && !database.Away(err) {
			return nil, err
		}
		if last == nil && trying.Err() == nil && c.opts.ConnectWithin == 0 { // who waits for a verb reads the error soon
			c.opts.Logger.Warn("the database is away; waiting for it", "database", section, "at_most", within.String(), "error", err)
		}
		if last == nil || trying.Err() == nil {
			last = err
		}
		pause := time.NewTimer(askAgain)
		select {
		case <-trying.Done():
			pause.Stop()
			if ctx.Err() != nil {
				return nil, fmt.Errorf("waiting for the database: %w", ctx.Err())
			}
			return nil, fmt.Errorf("%s: no database within %s: %w", section, within, last)
		case <-pause.C:
		}
	}
}
