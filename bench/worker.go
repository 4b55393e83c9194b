package main

import (
	"context"
	"errors"
	"log/slog"
	"os"
	"sync/atomic"
	"time"

	"github.com/answerfeed/answerfeed/app"
	"github.com/answerfeed/answerfeed/app/database"
	"github.com/answerfeed/answerfeed/app/event"
	"github.com/answerfeed/answerfeed/bench/effect"
	"github.com/answerfeed/answerfeed/config"
	"github.com/answerfeed/answerfeed/handlers"
)

// window is the worker's concurrency unless a measurement says otherwise: its
// default.
const window = 1000

// answerHandler is a handler from outside, in a program of its own: the whole
// worker around the effect that the peers have.
type answerHandler struct {
	handled *atomic.Int64
	wait    time.Duration // instead of the effect; 0 = the effect

	table   *effect.Table
	batcher *database.Batcher[event.AnswerAdded]
	err     error // of preparing
}

func (h *answerHandler) handler() handlers.Handler {
	return handlers.Handler{
		Name:    workerName,
		Migrate: effect.Create,
		Topics: func(e handlers.Env) []handlers.Topic {
			if e.DB != nil && h.table == nil { // else it is asked for the names alone
				if h.table, h.err = effect.New(e.DB); h.err == nil {
					h.batcher = database.NewGroup(groupCommit, h.table.CommitAll)
				}
			}
			return []handlers.Topic{app.On(event.TopicAnswerAdded, event.DecodeAnswerAdded, h.handle)}
		},
	}
}

func (h *answerHandler) handle(ctx context.Context, e event.AnswerAdded) error {
	if h.wait > 0 {
		timer := time.NewTimer(h.wait)
		defer timer.Stop()
		select {
		case <-timer.C:
			return counted(h.handled, nil)
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	return counted(h.handled, h.batcher.Do(ctx, e))
}

func (h *answerHandler) close() error {
	if h.batcher != nil {
		h.batcher.Close()
	}
	return nil
}

// options are the worker's defaults, but for where things are, what it has to
// handle, and its window.
func options(j job, h handlers.Handler) (app.Options, error) {
	all := []handlers.Handler{h}
	set := map[string]any{
		"transport.kind":  j.Transport,
		"database.driver": j.Driver,
		"database.dsn":    j.DSN,
		"web.listen":      "127.0.0.1:0",
		"handlers." + workerName + ".concurrency": j.Concurrency,
	}
	if j.Transport == onAMQP {
		set["transport.amqp.url"] = j.URL
	} else {
		set["transport.sql.driver"], set["transport.sql.dsn"] = j.Driver, j.DSN
	}
	loaded, err := config.Load(config.Options{Environ: []string{}, Handlers: app.Declare(all), Overrides: set})
	if err != nil {
		return app.Options{}, err
	}
	logger := slog.New(app.LogHandler(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: slog.LevelWarn})))
	return app.Options{Config: loaded.Config, Handlers: all, Logger: logger}, nil
}

// openWorker is the whole App: router, middleware, transport, web server,
// metrics, health, desk.
func openWorker(ctx context.Context, j job, handled *atomic.Int64) (consumer, error) {
	h := &answerHandler{handled: handled, wait: j.Wait}
	opts, err := options(j, h.handler())
	if err != nil {
		return consumer{}, err
	}
	app.TuneGC(opts.Config.Memory) // as cmd/worker does
	a, err := app.New(ctx, opts)
	if err == nil && h.err != nil {
		err = errors.Join(h.err, a.Stop(ctx))
	}
	if err != nil {
		return consumer{}, err
	}
	c := consumer{start: func() error { return a.Start(ctx) }, stop: func() error { return a.Stop(ctx) }}
	return c.then(h.close), nil
}

// openClient is the worker's own way to publish.
func openClient(ctx context.Context, j job) (*app.Client, error) {
	opts, err := options(j, (&answerHandler{}).handler())
	if err != nil {
		return nil, err
	}
	return app.Open(ctx, opts)
}
