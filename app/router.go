package app

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/ThreeDotsLabs/watermill/message"

	"github.com/answerfeed/answerfeed/config"
	"github.com/answerfeed/answerfeed/handlers"
	"github.com/answerfeed/answerfeed/internal/deadletter"
	"github.com/answerfeed/answerfeed/internal/memory"
	"github.com/answerfeed/answerfeed/internal/suspect"
	"github.com/answerfeed/answerfeed/internal/transport"
	"github.com/answerfeed/answerfeed/middleware"
)

const (
	// grace is how long the work in flight may go on after the worker was
	// told to stop.
	grace = 20 * time.Second
	// routerWithin is how long the router may take to end once its
	// subscribers have.
	routerWithin = 10 * time.Second
)

// routing is Watermill's router with the subscribers that feed it.
type routing struct {
	router      *message.Router
	subscribers []message.Subscriber
	queues      []string              // of enabled handlers, with the prefix
	collecting  needs                 // what collectors of dead letters need
	groups      *suspect.Store        // of what came back; nil: a guest keeps none
	isolation   *middleware.Isolation // of all handlers
	gates       []*gates              // of the handlers
	stuck       chan error            // why a handler gives the process up; room for one
	memory      *memory.Budget        // of all messages in flight
	stopping    chan struct{}         // closed when draining begins
	started     bool
	done        chan struct{}
	err         error // of the router, once done
}

// newRouting wires each enabled handler to its queues, and each handler's
// dead queues to the desk.
func (a *App) newRouting(env handlers.Env) (*routing, error) {
	router, err := message.NewRouter(message.RouterConfig{CloseTimeout: routerWithin}, routerLog{a.client.opts.Logger})
	if err != nil {
		return nil, fmt.Errorf("making the router: %w", err)
	}
	r := &routing{
		router: router, isolation: &middleware.Isolation{}, memory: memory.NewBudget(a.client.memory.Messages),
		stuck: make(chan error, 1), stopping: make(chan struct{}), done: make(chan struct{}),
	}
	if !a.client.opts.Guest {
		r.groups = suspect.NewStore(a.client.db)
	}
	a.health.dependencies.Add(needsLetters, nil)
	if r.collecting, err = a.needs(needsLetters, needsDatabase); err != nil {
		return nil, err
	}
	for _, h := range a.client.opts.Handlers {
		cfg := a.client.opts.Config.Handlers[h.Name]
		env.Options = cfg.Options
		needs, err := a.needsOf(h, env, cfg)
		if err != nil {
			return nil, err
		}
		work := &handlerWork{cfg: cfg, needs: needs}
		if cfg.Enabled {
			a.quarantine(r, h.Name, work)
		}
		for _, topic := range h.Topics(env) {
			sub := transport.Subscription{Topic: topic.Name, Handler: h.Name, Delays: cfg.Retry.Redeliver}
			if cfg.Enabled {
				if err := a.addHandler(r, sub, topic, work); err != nil {
					return nil, err
				}
			}
			if a.client.opts.Guest {
				continue
			}
			if err := a.addCollector(r, sub); err != nil {
				return nil, err
			}
		}
	}
	return r, nil
}

// needsOf is the database, the tables that the handler writes, and what it
// declares beside them.
func (a *App) needsOf(h handlers.Handler, env handlers.Env, cfg config.Handler) (needs, error) {
	tables := h.Name + "/" + needsTables
	a.health.dependencies.Add(tables, nil)
	names := []string{needsDatabase}
	if h.Needs != nil && cfg.Enabled {
		for _, d := range h.Needs(env) {
			name := h.Name + "/" + d.Name
			if name == tables {
				return needs{}, fmt.Errorf("handler %s: it calls a dependency %q, which is the name of its tables; choose another", h.Name, d.Name)
			}
			a.health.dependencies.Add(name, d.Ping)
			names = append(names, name)
		}
	}
	return a.needs(tables, names...)
}

// handlerWork is what a handler's topics share.
type handlerWork struct {
	cfg        config.Handler
	needs      needs
	quarantine *middleware.Quarantine
	gate       transport.Gate
}

// quarantine gives the handler one, and the gate that it is a part of.
func (a *App) quarantine(r *routing, name string, work *handlerWork) {
	var exit func(error)
	if work.cfg.OnStuck == config.StuckExit {
		exit = func(err error) {
			select {
			case r.stuck <- err:
			default: // one reason is enough
			}
		}
	}
	work.quarantine = middleware.NewQuarantine(name, a.metrics, a.client.opts.Logger, exit)
	a.life.then(work.quarantine.Close)
	a.health.quarantines[name] = work.quarantine
	gate := newGates(work.needs, work.quarantine)
	r.gates = append(r.gates, gate)
	work.gate = gate
}

// addHandler reads one queue of a handler through the middleware.
func (a *App) addHandler(r *routing, sub transport.Subscription, topic handlers.Topic, work *handlerWork) error {
	cfg, hold := work.cfg, a.client.opts.Config.Transport.Hold(&work.cfg)
	subscriber, err := a.client.transport.Subscriber(transport.Consumer{
		Subscription: sub,
		Window:       cfg.Concurrency,
		AtMostOnce:   cfg.Delivery == config.AtMostOnce,
		Grace:        grace,
		Gate:         work.gate,
		Hold:         hold,
		Memory:       r.memory,
	})
	if err != nil {
		return err
	}
	r.subscribers = append(r.subscribers, subscriber)
	r.queues = append(r.queues, a.client.opts.Config.Transport.Prefix+sub.Queue())
	h := r.router.AddConsumerHandler(sub.Queue(), sub.Topic, subscriber, func(m *message.Message) error {
		return topic.Handle(m.Context(), m.Payload)
	})
	settings := middleware.Settings{
		Handler:      sub.Handler,
		Topic:        sub.Topic,
		AtMostOnce:   cfg.Delivery == config.AtMostOnce,
		Timeout:      cfg.Timeout,
		RetryUnknown: cfg.OnUnknown == config.UnknownRetry,
		Attempts:     cfg.Retry.Attempts,
		Backoff:      cfg.Retry.Backoff,
		Redeliver:    cfg.Retry.Redeliver,
		Hold:         hold,
		Quarantine:   work.quarantine,
		Dependencies: work.needs,
		Stopping:     r.stopping,
		Isolation:    r.isolation,
		Prefix:       a.client.opts.Config.Transport.Prefix,
		Redeliverer:  a.client.transport,
		DeadLetterer: a.client.transport,
		Metrics:      a.metrics,
		Logger:       a.client.opts.Logger,
	}
	if r.groups != nil {
		settings.Suspects = r.groups
	}
	h.AddMiddleware(middleware.Chain(settings)...)
	return nil
}

// addCollector stores what comes to a dead queue. What cannot be stored stays
// in the queue; while that is the database's fault, it is held.
func (a *App) addCollector(r *routing, sub transport.Subscription) error {
	subscriber, err := a.client.transport.Subscriber(transport.Consumer{
		Subscription: sub, Dead: true, Window: deadletter.CollectWindow, Grace: grace, Gate: r.collecting,
		Hold: a.client.opts.Config.Transport.Hold(nil), Memory: r.memory,
	})
	if err != nil {
		return err
	}
	r.subscribers = append(r.subscribers, subscriber)
	h := r.router.AddConsumerHandler(sub.DeadQueue(), sub.Topic, subscriber, a.client.letters.Collect(sub.Handler, sub.Topic, a.client.opts.Logger))
	h.AddMiddleware(middleware.Hold(r.collecting, func(m *message.Message, err error) {
		deadletter.NotStored(m, sub.Handler, sub.Topic, a.client.opts.Logger, err)
	}))
	return nil
}

// start runs the router until its subscribers are closed.
func (r *routing) start() error {
	r.started = true
	go func() {
		defer close(r.done)
		// Its context would be every handler's: cancelling it would cut short
		// what is in flight. drain ends the router from the other side.
		r.err = r.router.Run(context.Background())
	}()
	select {
	case <-r.router.Running():
		return nil
	case <-r.done:
		return fmt.Errorf("starting the router: %w", r.err)
	}
}

// drain stops the intake, lets what is in flight finish, gives the rest back,
// and then closes the router, which by itself would cancel first and not wait.
func (r *routing) drain() error {
	if !r.started {
		return nil
	}
	close(r.stopping)
	var wg sync.WaitGroup
	for _, s := range r.subscribers {
		wg.Go(func() { _ = s.Close() }) // never fails: what it could not settle comes back
	}
	wg.Wait()
	select {
	case <-r.done: // when its start failed, Close would wait for handlers that never ran
		return nil
	default:
	}
	if err := r.router.Close(); err != nil {
		return fmt.Errorf("closing the router: %w", err)
	}
	<-r.done
	return nil
}
