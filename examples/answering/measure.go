package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"time"

	"github.com/answerfeed/answerfeed/app"
	"github.com/answerfeed/answerfeed/config"
)

// plan is what is measured.
type plan struct {
	Cases   []scenario    `json:"-"`
	Answers int           `json:"answers"`   // in each case, unless time runs out
	Least   int           `json:"least"`     // also when it does
	Within  time.Duration `json:"within_ns"` // for the answers of one case
	Authors int           `json:"authors"`   // who answer at a time
	Pause   time.Duration `json:"pause_ns"`  // of an author, between two answers
	Rounds  int           `json:"rounds"`
}

// scenario is how the subscribers are while answers come.
type scenario struct {
	Subscribers int           `json:"subscribers"`
	Slow        int           `json:"slow"` // how many of them, the feed first
	Delay       time.Duration `json:"delay_ns"`
	Down        bool          `json:"down"` // the feed is
}

func defaultPlan() plan {
	p := plan{Answers: 300, Least: 3, Within: 5 * time.Second, Authors: 1, Pause: 10 * time.Millisecond, Rounds: 5}
	p.Cases = cases([]int{1, 2, 5}, []time.Duration{200 * time.Millisecond, 2 * time.Second})
	return p
}

// cases are all that there are to these numbers of subscribers and these delays:
// healthy and, so that little lies between what is compared, the feed down; then
// the feed slow, and all of them slow.
func cases(subscribers []int, delays []time.Duration) (all []scenario) {
	for _, n := range subscribers {
		all = append(all, scenario{Subscribers: n}, scenario{Subscribers: n, Down: true})
		for _, d := range delays {
			all = append(all, scenario{Subscribers: n, Slow: 1, Delay: d})
		}
		for _, d := range delays {
			if n > 1 {
				all = append(all, scenario{Subscribers: n, Slow: n, Delay: d})
			}
		}
	}
	return all
}

func (p plan) check() error {
	if p.Answers < 1 || p.Within <= 0 || p.Authors < 1 || p.Rounds < 1 || p.Pause < 0 {
		return errors.New("it takes at least 1 answer, some time, 1 author and 1 round")
	}
	return nil
}

// measureAndTell measures all cases in both modes, in rounds, so that whatever
// else the machine does meets each of them.
func measureAndTell(ctx context.Context, cfg config.Config, p plan, output, report string, out, errOut io.Writer) error {
	if err := p.check(); err != nil {
		return err
	}
	if output != "table" && output != "json" {
		return fmt.Errorf("-o: %q; it takes table or json", output)
	}
	r, err := measure(ctx, cfg, p, errOut)
	if err != nil {
		return err
	}
	if report != "" {
		if err := r.into(report); err != nil {
			return fmt.Errorf("writing the report: %w", err)
		}
	}
	if output == "json" {
		e := json.NewEncoder(out)
		e.SetIndent("", "  ")
		return e.Encode(r)
	}
	_, err = io.WriteString(out, r.table())
	return err
}

func measure(ctx context.Context, cfg config.Config, p plan, progress io.Writer) (*result, error) {
	r := &result{Plan: p, Where: where(cfg)}
	for round := range p.Rounds {
		for _, c := range p.Cases {
			for _, mode := range []string{modeSync, modeAsync} {
				fmt.Fprintf(progress, "round %d of %d: %s, %s\n", round+1, p.Rounds, mode, c)
				f, err := measureCase(ctx, cfg, p, mode, c)
				if err != nil {
					return nil, fmt.Errorf("measuring %s, %s: %w", mode, c, err)
				}
				r.add(mode, c, f)
			}
		}
	}
	return r, nil
}

// where says what the site stores in, and what the events go through.
func where(cfg config.Config) string {
	store, way := map[string]string{config.DriverSQLite: "SQLite", config.DriverPostgres: "PostgreSQL"}, "RabbitMQ"
	if cfg.Transport.Kind == config.KindSQL {
		way = store[cfg.Transport.SQL.Driver]
	}
	return "stored in " + store[cfg.Database.Driver] + ", events through " + way
}

// measureCase starts subscribers, and the site in front of them; asks a
// question while all is well, and then has it answered.
func measureCase(ctx context.Context, cfg config.Config, p plan, mode string, c scenario) (f figures, err error) {
	dir, err := os.MkdirTemp("", "answering")
	if err != nil {
		return f, err
	}
	var end ending
	defer func() { err = errors.Join(err, end.all()) }()
	end.then(func() error { return os.RemoveAll(dir) })
	cfg = apart(cfg, dir)

	called, err := startServices(c.Subscribers, &end)
	if err != nil {
		return f, err
	}
	caller := newCaller(called.urls())
	end.then(func() error { caller.close(); return nil })
	s := &site{announce: caller.announce, logger: slog.New(slog.DiscardHandler)}
	if mode == modeAsync {
		s.announce = throughOutbox
		if err := startWorker(ctx, cfg, caller, &end); err != nil {
			return f, err
		}
	}
	if s.db, err = openDatabase(ctx, cfg); err != nil {
		return f, err
	}
	end.then(s.db.Close)
	front, err := listen("127.0.0.1:0", s.routes())
	if err != nil {
		return f, err
	}
	end.then(front.stop)

	l := newLoad(front.url(), p)
	end.then(func() error { l.client.CloseIdleConnections(); return nil })
	if err := l.ask(ctx); err != nil {
		return f, err
	}
	if err := called.trouble(c); err != nil {
		return f, err
	}
	if err := l.answer(ctx); err != nil {
		return f, err
	}
	if err := called.heal(); err != nil {
		return f, err
	}
	f = l.figures()
	f.CatchUp, err = called.caughtUp(ctx, mode, l.accepted)
	f.Missing, f.Ghosts = called.compare(l.accepted)
	return f, err
}

// apart keeps a SQLite file of the user's, and his port, out of it. What is
// measured on servers is measured in the database and the queues that are
// configured.
func apart(cfg config.Config, dir string) config.Config {
	cfg.Web.Listen, cfg.Migrate = "127.0.0.1:0", true
	for _, d := range []*config.Database{&cfg.Database, &cfg.Transport.SQL} {
		if d.Driver == config.DriverSQLite {
			d.DSN = filepath.Join(dir, "answerfeed.db")
		}
	}
	return cfg
}

// startWorker runs the worker, which relays the outbox and has a handler for
// each service. Their queues go when it ends.
func startWorker(ctx context.Context, cfg config.Config, c caller, end *ending) error {
	options := app.Options{Config: cfg, Handlers: tellers(c), Logger: slog.New(slog.DiscardHandler)}
	if cfg.Transport.Kind == config.KindAMQP || cfg.Transport.SQL.Driver == config.DriverPostgres {
		end.then(func() error { return prune(options) })
	}
	worker, err := app.New(ctx, options)
	if err != nil {
		return err
	}
	end.then(func() error { return worker.Stop(context.Background()) })
	return worker.Start(ctx)
}

func prune(options app.Options) error {
	ctx, cancel := context.WithTimeout(context.Background(), stopWithin)
	defer cancel()
	client, err := app.Open(ctx, options)
	if err != nil {
		return err
	}
	for _, h := range options.Handlers {
		_, pruned := client.Prune(ctx, h.Name)
		err = errors.Join(err, pruned)
	}
	return errors.Join(err, client.Close())
}

// ending is what is to be ended, last begun first.
type ending struct{ steps []func() error }

func (e *ending) then(step func() error) { e.steps = append(e.steps, step) }

func (e *ending) all() (err error) {
	for i := len(e.steps) - 1; i >= 0; i-- {
		err = errors.Join(err, e.steps[i]())
	}
	return err
}
