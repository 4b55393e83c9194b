// Package bench measures the worker on the user's own broker and database, for
// the verb of that name: how fast it publishes and drains, how long an event
// takes until it is visible, and what a message costs.
//
// It stands above package app: it runs whole Apps, with handlers of its own
// whose effect is like the feed's, under a prefix of its own, and removes what
// it made, whatever happens to it.
//
// The one thing to know: publisher and worker are one process here, with
// connections of their own, so processor time is told of phases in which
// nothing but the worker is at work.
package bench

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/answerfeed/answerfeed/app/database"
	"github.com/answerfeed/answerfeed/config"
)

// removeWithin bounds the removal of what a run made.
const removeWithin = 2 * time.Minute

// Options say where to measure, and what.
type Options struct {
	// Config names transport and database, as config.Load returns it. The
	// settings of the handler "feed" hold for the bench's handlers.
	Config config.Config
	// Settings of the measurement.
	Settings Settings
	// Logger takes what the Apps log. Defaults to slog.Default().
	Logger *slog.Logger
	// Begun is told the run's id before anything is made, for [Clean] in case
	// that the process is killed. May be nil.
	Begun func(id string)
	// Progress is told, about ten times a second, what is being done and how
	// far it is. May be nil.
	Progress func(what string, done, total int)
}

// bench is a running measurement.
type bench struct {
	Options
	run   run
	meter *meter
}

// Run measures, and removes what it made for that: also when ctx ends or
// something fails. The error tells when that is not all gone.
func Run(ctx context.Context, o Options) (_ *Report, err error) {
	if err := o.Settings.complete(); err != nil {
		return nil, err
	}
	if o.Logger == nil {
		o.Logger = slog.Default()
	}
	if o.Progress == nil {
		o.Progress = func(string, int, int) {}
	}
	if err := migrated(ctx, o.Config); err != nil {
		return nil, err
	}
	b := &bench{Options: o, run: newRun(o.Config, o.Logger)}
	if b.meter, err = newMeter(); err != nil {
		return nil, err
	}
	report := &Report{Scenario: o.Settings.Scenario}
	if report.Settings, err = b.words(ctx); err != nil {
		return nil, err
	}
	if o.Begun != nil {
		o.Begun(b.run.id)
	}
	steps := o.Settings.steps()
	for i, s := range steps {
		figures, err := b.measure(ctx, place{run: b.run, step: i + 1}, s)
		if err != nil && ctx.Err() != nil && !errors.Is(err, errLeft) {
			return nil, fmt.Errorf("interrupted; what was made for the measurement is removed: %w", ctx.Err())
		}
		if err != nil {
			return nil, fmt.Errorf("measuring %s: %w", s.name, err)
		}
		report.Steps = append(report.Steps, figures)
	}
	report.Figures = report.Steps[len(report.Steps)-1]
	return report, nil
}

// migrated reports a database that the bench would have to migrate where the
// configuration leaves that to the verb.
func migrated(ctx context.Context, cfg config.Config) (err error) {
	if cfg.Migrate {
		return nil
	}
	db, err := database.Open(ctx, database.Config(cfg.Database))
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, db.Close()) }()
	return db.Check(ctx)
}

// measure does one step in a place of its own, which is gone afterwards.
func (b *bench) measure(ctx context.Context, p place, s step) (_ Figures, err error) {
	defer func() {
		err = errors.Join(err, p.remove(ctx))
	}()
	st, err := b.open(ctx, p, s)
	if err != nil {
		return Figures{}, err
	}
	defer func() { err = errors.Join(err, st.close()) }()
	if err := st.phases(ctx); err != nil {
		return Figures{}, err
	}
	return st.figures, st.account(ctx)
}
