package app

import (
	"cmp"
	"context"
	"runtime/debug"

	"github.com/answerfeed/answerfeed/internal/fleet"
)

// join puts this process into the list of workers until it has drained, and
// gives the groups of what came back their owner.
func (a *App) join(ctx context.Context) error {
	info, _ := debug.ReadBuildInfo()
	version := ""
	if info != nil {
		version = info.Main.Version
	}
	member, err := fleet.Join(ctx, a.client.db, fleet.Options{
		Version:    cmp.Or(version, "unknown"),
		Runs:       a.routing.queues,
		InFlight:   a.metrics.InFlight,
		Ended:      a.routing.groups.Ended,
		Beaten:     a.routing.groups.Sweep,
		Logger:     a.client.opts.Logger,
		Registerer: a.client.metrics,
	})
	if err != nil {
		return err
	}
	a.life.then(member.Leave)
	a.routing.groups.Of(member)
	return nil
}
