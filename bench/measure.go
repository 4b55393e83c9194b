package main

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"time"

	"github.com/answerfeed/answerfeed/app/database"
	"github.com/answerfeed/answerfeed/bench/effect"
)

const (
	// stalled is how long a peer may make no progress.
	stalled = 30 * time.Second
	// slower is how many times fewer messages a slow peer gets: its rate is
	// what is asked.
	slower = 10
	// scaleWindow and scaleWait are the worker's concurrency and how long its
	// handler waits, where two workers are measured against one.
	scaleWindow, scaleWait = 20, 5 * time.Millisecond
)

// job is one for the worker.
func (b *bench) job(transport string, p place) job {
	return job{Peer: peerWorker, Transport: transport, URL: b.url, Driver: p.driver, DSN: p.dsn, Dir: b.dir, Concurrency: window}
}

// profiled adds a profile to the last round's job.
func (b *bench) profiled(j job, name string) (job, error) {
	if b.profile == "" || b.round < b.Rounds {
		return j, nil
	}
	var err error
	j.Profile, err = filepath.Abs(filepath.Join(b.profile, name+profileSuffix))
	return j, err
}

// drain lets a peer take n messages that wait in RabbitMQ.
func (b *bench) drain(ctx context.Context, peer string, n int) (err error) {
	p, remove, err := b.place(ctx, peer)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, remove()) }()
	fill, empty := b.fill, b.empty
	if peer == peerCelery {
		fill, empty = b.celery.fill, b.celery.empty
	}
	if err := fill(ctx, n); err != nil {
		return fmt.Errorf("filling the queue: %w", err)
	}
	j := b.job(onAMQP, p)
	j.Peer = peer
	if err := b.record(ctx, peer, task{n: n, fromFirst: peer == peerCelery}, j); err != nil {
		return err
	}
	return errors.Join(checkAll(ctx, p, n), empty())
}

// checkAll reports that n answers did not take effect once each.
func checkAll(ctx context.Context, p place, n int) error {
	got, err := count(ctx, p)
	if err == nil && got != n {
		err = fmt.Errorf("of %d answers, %d took effect", n, got)
	}
	return err
}

// count is how many answers took effect, each once.
func count(ctx context.Context, p place) (n int, err error) {
	db, err := database.Open(ctx, database.Config{Driver: p.driver, DSN: p.dsn})
	if err != nil {
		return 0, err
	}
	n, err = effect.Count(ctx, db)
	return n, errors.Join(err, db.Close())
}

// task is what processes share.
type task struct {
	n int // messages
	// atMost ends it before n were handled. 0 = never
	atMost time.Duration
	// fromFirst begins to measure at the first message: it is not asked how
	// long the peer takes to start.
	fromFirst bool
}

// record lets a peer do a task and adds what it took to the series.
func (b *bench) record(ctx context.Context, name string, t task, j job) error {
	j, err := b.profiled(j, name)
	if err != nil {
		return err
	}
	all, idle := processorTime()
	rate, handled, took, err := b.time(ctx, t, j)
	if err != nil {
		return err
	}
	allAfter, idleAfter := processorTime()
	b.add(name, rate)
	b.add(name+memory, took.PeakMB)
	b.add(name+processor, float64(took.CPU.Microseconds())/float64(handled))
	b.add(name+machine, (allAfter-all-(idleAfter-idle))*float64(clockTick.Microseconds())/float64(handled))
	return nil
}

// time lets processes share messages that wait. It returns how many a second
// they handled, from the moment they were told to start, how many they handled
// altogether, and what the last of the processes took.
func (b *bench) time(ctx context.Context, t task, jobs ...job) (rate float64, handled int64, took usage, err error) {
	changed := make(chan struct{}, 1)
	signal := func() {
		select {
		case changed <- struct{}{}:
		default:
		}
	}
	var running []*process
	defer func() {
		for _, p := range running {
			err = errors.Join(err, p.stop())
		}
	}()
	for _, j := range jobs {
		p, err := launch(ctx, j, signal)
		if err != nil {
			return 0, 0, usage{}, err
		}
		running = append(running, p)
	}
	began, before := time.Now(), int64(0)
	for _, p := range running {
		if err := p.start(); err != nil {
			return 0, 0, usage{}, err
		}
	}
	var over <-chan time.Time
	if t.atMost > 0 {
		over = time.After(t.atMost)
	}
	for late := false; !late && handled < int64(t.n); {
		select {
		case <-changed:
		case <-over:
			late = true
		case <-ctx.Done():
			return 0, 0, usage{}, ctx.Err()
		case <-time.After(stalled):
			return 0, 0, usage{}, fmt.Errorf("no progress for %s, with %d of %d handled", stalled, handled, t.n)
		}
		if handled = total(running); handled < int64(t.n) {
			if err := ended(running); err != nil {
				return 0, 0, usage{}, err
			}
		}
		if t.fromFirst && before == 0 && handled > 0 {
			began, before = time.Now(), handled
		}
	}
	rate = float64(handled-before) / time.Since(began).Seconds()
	for _, p := range running {
		if err := p.stop(); err != nil {
			return 0, 0, usage{}, err
		}
		took = p.took
	}
	if handled = total(running); handled == before {
		return 0, 0, usage{}, errors.New("it handled nothing")
	}
	return rate, handled, took, nil
}

func total(running []*process) (handled int64) {
	for _, p := range running {
		handled += p.handled.Load()
	}
	return handled
}

// ended reports a process that ended by itself.
func ended(running []*process) error {
	for _, p := range running {
		select {
		case <-p.ended:
			return fmt.Errorf("a process ended by itself: %w", p.err)
		default:
		}
	}
	return nil
}
