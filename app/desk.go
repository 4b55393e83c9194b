package app

import (
	"context"

	"github.com/answerfeed/answerfeed/app/deadletter"
)

// Desk is where a person works with the dead letters of all handlers. who
// names the person in the audit. Without the queues open, it sends no letter
// back.
func (c *Client) Desk(who string) *deadletter.Desk {
	o := deadletter.DeskOptions{DB: c.db, Who: who, Logger: c.opts.Logger}
	if c.transport != nil {
		o.Publisher = c.transport.Publisher()
	}
	return deadletter.NewDesk(o)
}

// pruneLetters forgets the letters that were dealt with long ago.
func (a *App) pruneLetters(ctx context.Context) {
	if n, err := a.client.letters.Prune(ctx); err != nil && ctx.Err() == nil {
		a.client.opts.Logger.Error("old dead letters could not be pruned", "error", err)
	} else if n > 0 {
		a.client.opts.Logger.Info("dead letters that were requeued or discarded long ago were forgotten", "letters", n)
	}
}
