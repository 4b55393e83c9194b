package alert

import (
	"context"
	"log/slog"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/answerfeed/answerfeed/internal/deadletter"
)

// spikeQuiet is how long the same problem's spike is not told again.
const spikeQuiet = time.Hour

// Watcher looks for news, and tells of them.
type Watcher struct {
	cfg    Config
	store  *deadletter.Store
	name   string
	sender *sender
	log    *slog.Logger
	sent   *prometheus.CounterVec
}

// New returns a watcher of a store. name is of this worker alone, such as
// HOST:PID. The logger may be nil; the registry takes
// answerfeed_alerts_total, by outcome sent and failed.
func New(cfg Config, store *deadletter.Store, name string, logger *slog.Logger, registry prometheus.Registerer) (*Watcher, error) {
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	if logger == nil {
		logger = slog.Default()
	}
	w := &Watcher{cfg: cfg, store: store, name: name, sender: newSender(cfg), log: logger, sent: prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "answerfeed_alerts_total", Help: "Alerts of dead letters, by outcome: sent, failed.",
	}, []string{"outcome"})}
	if err := registry.Register(w.sent); err != nil {
		return nil, err
	}
	return w, nil
}

// Run looks for news until ctx ends. Without a URL it returns at once.
func (w *Watcher) Run(ctx context.Context) {
	if w.cfg.URL == "" {
		return
	}
	tick := time.NewTicker(w.cfg.Every)
	defer tick.Stop()
	for {
		if err := w.look(ctx, time.Now()); err != nil && ctx.Err() == nil {
			w.log.WarnContext(ctx, "an alert of dead letters could not be sent; it is tried again", "error", err)
		}
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}

// look tells of what is new, in one request. It notes so afterwards: a crash
// between the two tells twice, and never not at all.
func (w *Watcher) look(ctx context.Context, now time.Time) error {
	// The lead outlasts one look with all its tries.
	leads, err := w.store.Lead(ctx, w.name, now, now.Add(2*w.cfg.Every+tries*(requestWithin+maxPause)))
	if err != nil || !leads {
		return err
	}
	news, err := w.store.News(ctx)
	if err != nil {
		return err
	}
	var spikes []deadletter.Problem
	if w.cfg.Spike > 0 {
		if spikes, err = w.store.Spikes(ctx, w.cfg.Spike, now.Add(-w.cfg.SpikeWithin), now.Add(-spikeQuiet)); err != nil {
			return err
		}
	}
	if len(news)+len(spikes) == 0 {
		return nil
	}
	body, err := encode(w.cfg, news, spikes)
	if err != nil {
		return err
	}
	if err := w.sender.send(ctx, body); err != nil {
		w.sent.WithLabelValues("failed").Inc()
		return err
	}
	w.sent.WithLabelValues("sent").Inc()
	return w.store.Told(ctx, now, news, spikes)
}
