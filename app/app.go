package app

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"github.com/answerfeed/answerfeed/handlers"
	"github.com/answerfeed/answerfeed/internal/alert"
	"github.com/answerfeed/answerfeed/internal/dependency"
	"github.com/answerfeed/answerfeed/internal/feed"
	"github.com/answerfeed/answerfeed/internal/leaderboard"
	"github.com/answerfeed/answerfeed/internal/relay"
	"github.com/answerfeed/answerfeed/internal/web"
	"github.com/answerfeed/answerfeed/middleware"
)

const (
	// scrapeWithin bounds what one scrape of the metrics asks.
	scrapeWithin = 5 * time.Second
	// webWithin is how long requests may go on while the worker stops.
	webWithin = 5 * time.Second
	// pruneEvery is how often the inbox forgets what is old.
	pruneEvery = time.Hour
	// passEvery is how often a worker notes that time has passed, and
	// aheadAtMost how far the clock may be ahead of that without a word.
	passEvery, aheadAtMost = time.Minute, time.Hour
)

// App is a worker, wired and not yet running.
type App struct {
	client  *Client
	metrics *middleware.Metrics
	routing *routing
	relay   *relay.Relay   // nil: another process relays
	alerts  *alert.Watcher // nil: a guest tells nobody
	health  *health
	web     *web.Server
	life    lifecycle

	serving    sync.WaitGroup // of the web server
	background sync.WaitGroup // of what cancel ends
	cancel     context.CancelFunc
	failed     chan error // a part that ended by itself; room for each
}

// New opens what the configuration names and wires it. Nothing is consumed
// yet, and the address is bound: so what can be wrong is found here. After an
// error nothing stays open; else the caller calls Stop in any case.
func New(ctx context.Context, opts Options) (_ *App, err error) {
	a := &App{failed: make(chan error, 4)}
	defer func() {
		if err != nil {
			err = errors.Join(err, a.abandon(ctx))
		}
	}()
	if a.client, err = Open(ctx, opts); err != nil {
		return nil, err
	}
	a.life.closing(a.client.Close)
	opts = a.client.opts
	registry := a.client.metrics
	if !opts.Config.Migrate {
		if err := a.client.transport.Check(ctx, opts.subscriptions()); err != nil {
			return nil, err
		}
	}

	feedStore, err := feed.New(a.client.db, a.client.durability)
	if err != nil {
		return nil, err
	}
	a.life.then(feedStore.Close)
	board, err := leaderboard.New(a.client.db, a.client.durability)
	if err != nil {
		return nil, err
	}
	a.life.then(board.Close)

	if a.metrics, err = middleware.NewMetrics(registry); err != nil {
		return nil, fmt.Errorf("registering metrics: %w", err)
	}
	err = errors.Join(
		registry.Register(newBacklogCollector(a.client.Queues, a.client.letters.Counts)),
		registry.Register(collectors.NewGoCollector()),
		registry.Register(collectors.NewProcessCollector(collectors.ProcessCollectorOpts{})),
	)
	if err != nil {
		return nil, fmt.Errorf("registering metrics: %w", err)
	}

	needs := dependency.New(opts.Logger)
	needs.Add(needsDatabase, a.client.db.Ping)
	needs.SetTrial(needsDatabase, a.client.db.TryWrite)
	needs.Add(needsTransport, a.client.transport.Ping)
	a.life.then(needs.Close)
	a.health = &health{dependencies: needs, quarantines: map[string]*middleware.Quarantine{}}
	if err := registry.Register(a.health); err != nil {
		return nil, fmt.Errorf("registering metrics: %w", err)
	}

	a.web, err = web.New(web.Options{
		Config:      web.Config(opts.Config.Web),
		Feed:        feedStore,
		Leaderboard: board,
		Backlog:     a.queues,
		Outbox:      a.outbox,
		Ready:       a.health.report,
		Metrics:     promhttp.HandlerFor(opts.Registry, promhttp.HandlerOpts{Timeout: scrapeWithin, ErrorHandling: promhttp.ContinueOnError}),
		Logger:      opts.Logger,
	})
	if err != nil {
		return nil, err
	}
	a.life.push(func(ctx context.Context) error {
		ctx, cancel := context.WithTimeout(ctx, webWithin)
		defer cancel()
		defer a.serving.Wait()
		return a.web.Shutdown(ctx)
	})

	a.routing, err = a.newRouting(handlers.Env{DB: a.client.db, Durability: a.client.durability, Feed: feedStore, Leaderboard: board})
	if err != nil {
		return nil, err
	}
	if !opts.Guest {
		if err := a.join(ctx); err != nil {
			return nil, err
		}
	}
	a.life.closing(a.routing.drain)
	a.life.then(needs.Stop) // first: nobody waits for what is away while the worker drains
	if opts.Guest {
		return a, nil
	}
	if opts.Config.Relay.Enabled {
		if a.relay, err = a.client.newRelay(); err != nil {
			return nil, err
		}
	}
	if a.alerts, err = alert.New(alert.Config(opts.Config.Alerts), a.client.letters, processName(), opts.Logger, registry); err != nil {
		return nil, fmt.Errorf("alerts: %w", err)
	}
	return a, nil
}

// Addr is the address that the web server listens on.
func (a *App) Addr() string { return a.web.Addr() }

// Start begins to consume and to serve, and returns.
func (a *App) Start(ctx context.Context) error {
	ctx, a.cancel = context.WithCancel(context.WithoutCancel(ctx))
	// Ended first: what runs in the background uses the parts.
	a.life.then(func() { a.cancel(); a.background.Wait() })
	if err := a.routing.start(); err != nil {
		return err
	}
	a.serving.Go(func() {
		if err := a.web.Serve(); err != nil {
			a.failed <- fmt.Errorf("serving pages: %w", err)
		}
	})
	a.background.Go(func() { a.health.dependencies.Run(ctx) })
	a.client.watchFiles(ctx, &a.background, func(err error) {
		a.health.ready.Store(false)
		a.client.opts.Logger.Error("the worker ends, so that a new one opens what is there now", "error", err)
		a.failed <- err
	})
	for _, g := range a.routing.gates {
		a.background.Go(func() { g.run(ctx) })
	}
	if a.alerts != nil {
		a.background.Go(func() { a.alerts.Run(ctx) })
	}
	if a.relay != nil {
		a.background.Go(func() { a.relay.Run(ctx) })
	}
	if !a.client.opts.Guest {
		a.background.Go(func() { a.housekeeping(ctx) })
	}
	if a.client.opts.Demo > 0 {
		a.background.Go(func() { a.demo(ctx) })
	}
	a.warnOfDisabled(ctx)
	a.health.ready.Store(true)
	return nil
}

// Wait returns nil when ctx ends, or why the App cannot go on.
func (a *App) Wait(ctx context.Context) error {
	select {
	case <-ctx.Done():
		return nil
	case err := <-a.failed:
		return err
	case <-a.routing.done:
		return errors.Join(errors.New("the router ended by itself"), a.routing.err)
	case err := <-a.routing.stuck:
		return err
	}
}

// Stop drains what is in flight and closes everything, last opened first. ctx
// bounds the last requests of the web server; the work in flight has a grace
// of 20 s.
func (a *App) Stop(ctx context.Context) error { return a.life.close(ctx) }

// queues is the backlog as the web shows it.
func (a *App) queues(ctx context.Context) ([]web.Queue, error) {
	all, err := a.client.Backlog(ctx)
	queues := make([]web.Queue, 0, len(all))
	for _, b := range all {
		queues = append(queues, web.Queue(b))
	}
	return queues, err
}

// housekeeping forgets old notes of the inbox.
func (a *App) housekeeping(ctx context.Context) {
	tick := time.NewTicker(passEvery)
	defer tick.Stop()
	var pruned time.Time
	told := false
	for {
		told = a.passTime(ctx, told)
		if !pruned.IsZero() && time.Since(pruned) < pruneEvery {
			select {
			case <-ctx.Done():
				return
			case <-tick.C:
			}
			continue
		}
		pruned = time.Now()
		if n, err := a.client.db.PruneInbox(ctx); err != nil && ctx.Err() == nil {
			a.client.opts.Logger.Error("the inbox could not be pruned", "error", err)
		} else if n > 0 {
			a.client.opts.Logger.Info("the inbox was pruned", "notes", n)
		}
		a.pruneLetters(ctx)
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}

// warnOfDisabled tells of what piles up for handlers that do not run.
func (a *App) warnOfDisabled(ctx context.Context) {
	all, err := a.client.Backlog(ctx)
	if err != nil {
		a.client.opts.Logger.Error("the backlog could not be read", "error", err)
		return
	}
	for _, b := range all {
		if c, known := a.client.opts.Config.Handlers[b.Handler]; b.Ready > 0 && (!known || !c.Enabled) {
			a.client.opts.Logger.Log(ctx, slog.LevelWarn, "messages wait for a handler that does not run; enable it, or remove its queues with `worker migrate --prune`",
				"handler", b.Handler, "topic", b.Topic, "waiting", b.Ready)
		}
	}
}
