package app

import (
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/answerfeed/answerfeed/config"
	"github.com/answerfeed/answerfeed/handlers"
	"github.com/answerfeed/answerfeed/internal/transport"
)

// Options are what an App or a Client is made of.
type Options struct {
	// Config is a configuration as config.Load returns it.
	Config config.Config
	// Handlers are those that the configuration was loaded with.
	Handlers []handlers.Handler
	// Logger defaults to slog.Default(). Wrap its handler by LogHandler, so
	// that each line about a message tells the message's correlation id.
	Logger *slog.Logger
	// Registry takes the metrics. Defaults to a new one, so that two Apps may
	// live in one process.
	Registry *prometheus.Registry
	// Guest leaves alone what belongs to the worker of the same database: the
	// App moves no outbox, tells nobody of letters, and forgets nothing that is
	// old; dead letters stay in their queues. For measuring beside that worker,
	// under a prefix of one's own.
	Guest bool
	// ConnectWithin bounds the wait for a broker or a database that is away
	// when the App or Client is opened: for a verb that a person waits for.
	// Defaults to amqp.connect_timeout for the broker, 30 s for a database.
	ConnectWithin time.Duration
	// Demo publishes this many invented events a second while the App runs.
	// 0 = none.
	Demo float64
}

func (o *Options) complete() error {
	if o.Logger == nil {
		o.Logger = slog.Default()
	}
	if o.Registry == nil {
		o.Registry = prometheus.NewRegistry()
	}
	if o.Demo < 0 {
		return errors.New("the demo's rate must not be below 0")
	}
	if err := handlers.Validate(o.Handlers); err != nil {
		return err
	}
	for _, h := range o.Handlers {
		if _, ok := o.Config.Handlers[h.Name]; !ok {
			return fmt.Errorf("handler %q: the configuration was loaded without it; give config.Load what Declare returns", h.Name)
		}
	}
	return nil
}

// Declare tells config.Load of the handlers.
func Declare(all []handlers.Handler) []config.HandlerDecl {
	var decls []config.HandlerDecl
	for _, h := range all {
		decl := config.HandlerDecl{Name: h.Name, Options: h.Options}
		if h.Concurrency != 0 {
			decl.Defaults = config.DefaultHandler()
			decl.Defaults.Concurrency = h.Concurrency
		}
		decls = append(decls, decl)
	}
	return decls
}

// subscriptions are all handlers' queues, those of disabled ones included:
// they go on collecting.
func (o *Options) subscriptions() []transport.Subscription {
	var subs []transport.Subscription
	for _, h := range o.Handlers {
		c := o.Config.Handlers[h.Name]
		for _, t := range h.Topics(handlers.Env{Options: h.Options}) {
			subs = append(subs, transport.Subscription{Topic: t.Name, Handler: h.Name, Delays: c.Retry.Redeliver})
		}
	}
	return subs
}

// Topics names every topic that a handler takes, in order.
func (o *Options) Topics() []string {
	names := map[string]bool{}
	for _, s := range o.subscriptions() {
		names[s.Topic] = true
	}
	return slices.Sorted(maps.Keys(names))
}
