package bench

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/answerfeed/answerfeed/app"
	"github.com/answerfeed/answerfeed/handlers"
)

// pipeline is the handlers of one App.
type pipeline []*answers

func newPipeline(st *stage, failed func(error)) pipeline {
	var all pipeline
	for n := range st.step.handlers {
		all = append(all, &answers{place: st.place, n: n + 1, delay: st.step.delay, ledger: st.ledger, failed: failed})
	}
	return all
}

func (p pipeline) declared() []handlers.Handler {
	var all []handlers.Handler
	for _, a := range p {
		all = append(all, a.handler())
	}
	return all
}

// worker is an App at work on a stage.
type worker struct {
	stage    *stage
	app      *app.App
	pipeline pipeline
	registry *prometheus.Registry

	began   time.Time
	before  time.Duration // processor time when it began
	settled int64         // when it began
	target  int
	reached <-chan time.Time

	failed chan error // the first reason to give up: a part of the App, an effect, whoever publishes
	cancel context.CancelFunc
	watch  sync.WaitGroup

	took, used time.Duration // once wait has returned
}

// launch starts a worker that has so many messages to settle.
func (st *stage) launch(ctx context.Context, target int) (_ *worker, err error) {
	w := &worker{stage: st, registry: prometheus.NewRegistry(), target: target, failed: make(chan error, 1)}
	w.pipeline = newPipeline(st, w.giveUp)
	options := st.place.options(w.pipeline.declared(), st.step.delay)
	options.Registry = w.registry
	if w.app, err = app.New(ctx, options); err != nil {
		w.pipeline.close()
		return nil, err
	}
	if err = w.pipeline.err(); err == nil {
		w.settled = st.ledger.settled.Load()
		w.reached = st.ledger.goal(int(w.settled) + target)
		st.bench.meter.peak = 0
		w.before, err = st.bench.meter.read()
	}
	if err == nil {
		w.began = time.Now()
		err = w.app.Start(ctx)
	}
	watching, cancel := context.WithCancel(ctx)
	w.cancel = cancel
	if err != nil {
		return nil, errors.Join(err, w.stop(ctx))
	}
	w.watch.Go(func() {
		if err := w.app.Wait(watching); err != nil {
			w.giveUp(err)
		}
	})
	return w, nil
}

// giveUp ends wait.
func (w *worker) giveUp(err error) {
	select {
	case w.failed <- err:
	default: // another reason is there
	}
}

// wait returns when all is settled.
func (w *worker) wait(ctx context.Context, what string) error {
	tick := time.NewTicker(showEvery)
	defer tick.Stop()
	last, moved := int64(-1), time.Now()
	for {
		select {
		case at := <-w.reached:
			used, err := w.stage.bench.meter.read()
			w.took, w.used = at.Sub(w.began), used-w.before
			return err
		case err := <-w.failed:
			return err
		case <-ctx.Done():
			return ctx.Err()
		case <-tick.C:
		}
		done := w.stage.ledger.settled.Load() - w.settled
		w.stage.bench.Progress(w.stage.step.name+": "+what, int(done), w.target)
		if _, err := w.stage.bench.meter.read(); err != nil {
			return err
		}
		if done != last {
			last, moved = done, time.Now()
		} else if time.Since(moved) > stalled {
			return fmt.Errorf("nothing took effect for %s, with %d of %d done; is the broker or the database away?", stalled, done, w.target)
		}
	}
}

// stop lets what is in flight finish, and counts what was delivered.
func (w *worker) stop(ctx context.Context) error {
	w.cancel()
	w.watch.Wait()
	err := w.app.Stop(context.WithoutCancel(ctx))
	w.pipeline.close()
	// Its error is the backlog's, which can no longer be asked for.
	all, _ := gathered(w.registry)
	const deliveries = "answerfeed_messages_total"
	again := int64(all[deliveries]) - (w.stage.ledger.settled.Load() - w.settled)
	w.stage.figures.Redeliveries += max(again, 0)
	return err
}

func (p pipeline) err() error {
	for _, a := range p {
		if a.err != nil {
			return a.err
		}
	}
	return nil
}

func (p pipeline) close() {
	for _, a := range p {
		a.close()
	}
}
