package app

import (
	"context"
	"errors"
	"time"

	"github.com/answerfeed/answerfeed/app/database"
	"github.com/answerfeed/answerfeed/internal/transport/rabbit"
)

// Run is New, Start, Wait and Stop: until ctx ends. A start that a server's
// death cut short is made again, within the time that a start waits for a
// server that is away.
func Run(ctx context.Context, opts Options) error {
	a, err := begun(ctx, &opts, func() (*App, error) {
		a, err := New(ctx, opts)
		if err != nil {
			return nil, err
		}
		if err := a.Start(ctx); err != nil {
			return nil, errors.Join(err, a.abandon(ctx))
		}
		return a, nil
	})
	if err != nil {
		return err
	}
	a.client.opts.Logger.Info("answerfeed is running", "look", "http://"+a.Addr()+"/")
	err = a.Wait(ctx)
	a.client.opts.Logger.Info("stopping: letting what is in flight finish")
	return errors.Join(err, a.Stop(context.WithoutCancel(ctx)))
}

// abandon closes an App that could not start. Its metrics make room for those
// of the next; those of a worker that ran stay and can be read.
func (a *App) abandon(ctx context.Context) error {
	err := a.life.close(context.WithoutCancel(ctx))
	if a.client != nil {
		a.client.metrics.giveBack()
	}
	return err
}

// begun is what start returns. While start fails because a server died in the
// middle of it, it is called again.
func begun[T any](ctx context.Context, opts *Options, start func() (T, error)) (T, error) {
	until := time.Now().Add(opts.within(databaseWithin))
	for {
		begun, err := start()
		if err == nil || ctx.Err() != nil || time.Now().After(until) || !cutShort(err) {
			return begun, err
		}
		if err := opts.complete(); err != nil {
			return begun, err
		}
		opts.Logger.Warn("a server went away while the worker started; starting again", "error", err)
		pause := time.NewTimer(askAgain)
		select {
		case <-ctx.Done():
		case <-pause.C:
		}
		pause.Stop()
	}
}

// cutShort reports that a start failed because a server that had answered
// answers no more.
func cutShort(err error) bool { return database.Away(err) || database.Cut(err) || rabbit.Cut(err) }
