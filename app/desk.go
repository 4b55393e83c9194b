package app

import (
	"context"
	"time"

	"github.com/answerfeed/answerfeed/internal/deadletter"
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

// passTime moves on the time by which things are forgotten, and tells once of a
// clock that is ahead of it.
func (a *App) passTime(ctx context.Context, told bool) bool {
	_, ahead, err := a.client.db.PassTime(ctx)
	if err != nil {
		if ctx.Err() == nil {
			a.client.opts.Logger.Error("the time of forgetting could not be moved on; nothing is forgotten", "error", err)
		}
		return told
	}
	if ahead > aheadAtMost && !told {
		a.client.opts.Logger.Warn("the database's clock is ahead of the time that workers saw pass; what is forgotten by age follows at twice its pace",
			"by", ahead.Round(time.Second).String())
	}
	return ahead > aheadAtMost
}
