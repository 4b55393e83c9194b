package bench

import (
	"context"
	"errors"
	"fmt"
	"runtime/debug"
	"time"

	"github.com/answerfeed/answerfeed/app"
	"github.com/answerfeed/answerfeed/app/database"
)

const (
	// stalled is how long nothing may take effect before a run is given up.
	stalled = 60 * time.Second
	// accountWithin is how long the broker may take to count again what a
	// worker that stopped gave back.
	accountWithin, accountEvery = 30 * time.Second, 50 * time.Millisecond
)

// stage is a step in its place: queues, tables, and a client that publishes.
type stage struct {
	bench   *bench
	place   place
	step    step
	source  source
	ledger  *ledger
	client  *app.Client
	figures Figures
}

// open makes the queues and tables.
func (b *bench) open(ctx context.Context, p place, s step) (*stage, error) {
	st := &stage{
		bench: b, place: p, step: s, ledger: newLedger(s, b.Settings.Rate),
		figures: Figures{Step: s.name, Handlers: s.handlers, Messages: s.messages, Waiting: s.bulk()},
	}
	if s.messages == 0 {
		st.figures.Messages = s.steady
	}
	var err error
	if st.source, err = newSource(b.Settings.Payload, s.poison); err != nil {
		return nil, err
	}
	b.Progress(s.name+": making queues and tables", 0, 1)
	st.client, err = app.Open(ctx, p.options(newPipeline(st, nil).declared(), s.delay))
	return st, err
}

func (st *stage) close() error { return st.client.Close() }

// phases measure latency first, while nothing waits, and then the drain.
func (st *stage) phases(ctx context.Context) error {
	if st.step.messages == 0 {
		return st.atRate(ctx, st.step.behind)
	}
	if err := st.atRate(ctx, 0); err != nil {
		return err
	}
	took, err := st.publishAll(ctx, st.step.steady, st.step.total())
	if err != nil {
		return err
	}
	st.published(st.step.bulk(), took)
	return st.drain(ctx)
}

func (st *stage) published(n int, took time.Duration) {
	st.figures.PublishPerSecond = figure(float64(n) / took.Seconds())
	st.figures.PublishMicros = figure(float64(took.Microseconds()) / float64(n))
}

// atRate publishes at the rate to a worker that runs, while so many events wait
// already.
func (st *stage) atRate(ctx context.Context, waiting int) error {
	if waiting > 0 {
		if _, err := st.publishAll(ctx, st.step.steady, st.step.steady+waiting); err != nil {
			return err
		}
	}
	n := (st.step.steady + waiting) * st.step.handlers
	w, err := st.launch(ctx, n)
	if err != nil {
		return err
	}
	pacing, cancel := context.WithCancel(ctx)
	defer cancel()
	var paced time.Duration
	var paceErr error
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		if paced, paceErr = st.pace(pacing); paceErr != nil {
			w.giveUp(paceErr)
		}
	}()
	err = w.wait(ctx, fmt.Sprintf("%g events a second", st.bench.Settings.Rate))
	if err != nil {
		cancel()
	}
	<-ended
	if stopped := w.stop(ctx); err != nil || stopped != nil {
		return errors.Join(err, stopped)
	}
	if paceErr != nil {
		return paceErr
	}
	st.figures.Latency = st.ledger.latency()
	st.figures.SteadyPerSecond = figure(float64(st.step.steady) / paced.Seconds())
	if st.step.messages == 0 {
		st.published(st.step.steady, paced)
		st.drained(w, n)
	}
	return nil
}

// drain lets a new worker take what waits.
func (st *stage) drain(ctx context.Context) error {
	debug.FreeOSMemory() // what publishing took is not the worker's
	n := st.step.messages * st.step.handlers
	w, err := st.launch(ctx, n)
	if err != nil {
		return err
	}
	if err := errors.Join(w.wait(ctx, "draining"), w.stop(ctx)); err != nil {
		return err
	}
	st.drained(w, n)
	return nil
}

func (st *stage) drained(w *worker, n int) {
	st.figures.DrainPerSecond = figure(float64(n) / w.took.Seconds())
	st.figures.CPUMicros = figure(float64(w.used.Nanoseconds()) / 1000 / float64(n))
	st.figures.RSSMB = figure(st.bench.meter.peakMB())
}

// account tells where every event is, in each handler.
func (st *stage) account(ctx context.Context) (err error) {
	db, err := database.Open(ctx, database.Config(st.place.config.Database))
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, db.Close()) }()
	for n := range st.step.handlers {
		answers, times, err := st.place.tables(n+1, db.Driver()).count(ctx, db)
		if err != nil {
			return err
		}
		st.figures.Effects += answers
		st.figures.Doubled += times - answers
	}
	want := int64(st.step.total() * st.step.handlers)
	for began := time.Now(); ; {
		all, err := st.client.Backlog(ctx)
		if err != nil {
			return err
		}
		st.figures.Left, st.figures.DeadLetters = 0, 0
		for _, q := range all {
			st.figures.Left += q.Ready + q.InFlight + q.Delayed
			st.figures.DeadLetters += q.Dead
		}
		missing := want - st.figures.Effects - st.figures.DeadLetters - st.figures.Left
		if missing <= 0 {
			return nil
		}
		if time.Since(began) > accountWithin {
			return fmt.Errorf("%d of %d messages are lost: they took no effect and are in no queue", missing, want)
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(accountEvery):
		}
	}
}
