package app

import (
	"context"
	"errors"
	"sync"

	"github.com/answerfeed/answerfeed/app/database"
	"github.com/answerfeed/answerfeed/internal/relay"
)

// Relay moves the outbox of the configured database to the configured
// transport until ctx ends, and runs no handler. What is in flight then may
// finish, within 10 s. Any number of relays may run, beside Apps or alone.
func Relay(ctx context.Context, opts Options) error {
	c, err := begun(ctx, &opts, func() (*Client, error) { return Open(ctx, opts) })
	if err != nil {
		return err
	}
	r, err := c.newRelay()
	if err == nil {
		c.opts.Logger.Info("the relay is running")
		ctx, cancel := context.WithCancelCause(ctx)
		var watching sync.WaitGroup
		c.watchFiles(ctx, &watching, cancel)
		r.Run(ctx)
		if gone := context.Cause(ctx); errors.Is(gone, database.ErrFileGone) {
			err = errors.Join(err, gone)
		}
		cancel(nil)
		watching.Wait()
		c.opts.Logger.Info("the relay has stopped")
	}
	return errors.Join(err, c.Close())
}

func (c *Client) newRelay() (*relay.Relay, error) {
	return relay.New(relay.Options{DB: c.db, Transport: c.transport, Registry: c.metrics, Logger: c.opts.Logger})
}
