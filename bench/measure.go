package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"time"

	amqp "github.com/rabbitmq/amqp091-go"

	"github.com/answerfeed/answerfeed/app"
	"github.com/answerfeed/answerfeed/app/database"
	"github.com/answerfeed/answerfeed/app/testserver"
	"github.com/answerfeed/answerfeed/bench/effect"
)

// What is measured beside the drains, by the names of -peers.
const (
	publishSlices     = "publish-slices"
	publishConcurrent = "publish-concurrent"
	publishBare       = "publish-bare"
	publishStock      = "publish-stock"
	latency           = "latency"
	scale             = "scale"
)

// measurements are all, in the order of a first round.
func measurements() []string {
	return []string{peerWorker, peerBare, peerMany, peerStock, publishSlices, publishBare, publishConcurrent, publishStock, latency, scale}
}

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

// bench is a running measurement.
type bench struct {
	settings
	dir    string
	url    string
	conn   *amqp.Connection
	client *app.Client
	result *result
	round  int
}

// measure starts a broker and runs every round.
func measure(ctx context.Context, s settings, progress io.Writer) (_ *result, err error) {
	dir, err := os.MkdirTemp("", "answerfeed-bench")
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	broker, err := testserver.StartRabbitMQ(ctx)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, broker.Stop()) }()
	b := &bench{settings: s, dir: dir, url: broker.URL, result: &result{Settings: s, Began: time.Now()}}
	if b.client, err = openClient(ctx, b.url, dir); err != nil { // declares the queue
		return nil, err
	}
	defer func() { err = errors.Join(err, b.client.Close()) }()
	if b.conn, err = amqp.Dial(b.url); err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, b.conn.Close()) }()
	b.result.Machine = describe(b.conn)

	for b.round = 1; b.round <= s.Rounds; b.round++ {
		busy, err := busyPercent(ctx)
		if err != nil {
			return nil, err
		}
		b.add("machine-busy", busy)
		order := slices.Clone(s.Peers)
		if b.round%2 == 0 { // nobody always goes first
			slices.Reverse(order)
		}
		for _, name := range order {
			if err := b.one(ctx, name); err != nil {
				return nil, fmt.Errorf("round %d: %s: %w", b.round, name, err)
			}
			fmt.Fprintf(progress, "round %d of %d: %-18s %s\n", b.round, s.Rounds, name, b.result.last(name))
		}
	}
	b.result.Ended = time.Now()
	b.result.finish()
	return b.result, nil
}

func (b *bench) add(name string, value float64) { b.result.add(name, value) }

// one measures one thing once.
func (b *bench) one(ctx context.Context, name string) error {
	switch name {
	case latency:
		return b.latency(ctx)
	case scale:
		return b.scale(ctx)
	case publishSlices, publishConcurrent, publishBare, publishStock:
		return b.publish(ctx, name)
	case peerStock:
		return b.drain(ctx, name, b.Messages/slower)
	}
	return b.drain(ctx, name, b.Messages)
}

// drain lets a peer take n messages that wait.
func (b *bench) drain(ctx context.Context, peer string, n int) (err error) {
	if err := b.fill(ctx, n); err != nil {
		return err
	}
	j := job{Peer: peer, URL: b.url, DSN: b.file(peer), Concurrency: window}
	if b.profile != "" && b.round == b.Rounds {
		if j.Profile, err = filepath.Abs(filepath.Join(b.profile, peer+".prof")); err != nil {
			return err
		}
	}
	rate, took, err := b.time(ctx, n, j)
	if err != nil {
		return err
	}
	b.add(peer, rate)
	b.add(peer+"-memory", took.PeakMB)
	b.add(peer+"-processor", float64(took.CPU.Microseconds())/float64(n))
	db, err := database.Open(ctx, database.Config{Driver: database.SQLite, DSN: j.DSN})
	if err != nil {
		return err
	}
	return errors.Join(effect.Check(ctx, db, n), db.Close(), b.empty())
}

// file names the database of a measurement.
func (b *bench) file(name string) string {
	return filepath.Join(b.dir, fmt.Sprintf("%s-%d.db", name, b.round))
}

// time lets processes share n messages that wait, and returns how many a
// second they handled, from the moment they were told to start, and what the
// last of them took.
func (b *bench) time(ctx context.Context, n int, jobs ...job) (rate float64, took usage, err error) {
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
			return 0, usage{}, err
		}
		running = append(running, p)
	}
	began := time.Now()
	for _, p := range running {
		if err := p.start(); err != nil {
			return 0, usage{}, err
		}
	}
	for total := int64(0); total < int64(n); {
		select {
		case <-changed:
		case <-ctx.Done():
			return 0, usage{}, ctx.Err()
		case <-time.After(stalled):
			return 0, usage{}, fmt.Errorf("no progress for %s, with %d of %d handled", stalled, total, n)
		}
		total = 0
		for _, p := range running {
			total += p.handled.Load()
			select {
			case <-p.ended:
				return 0, usage{}, fmt.Errorf("a process ended by itself: %w", p.err)
			default:
			}
		}
	}
	rate = float64(n) / time.Since(began).Seconds()
	for _, p := range running {
		if err := p.stop(); err != nil {
			return 0, usage{}, err
		}
		took = p.took
	}
	return rate, took, nil
}

// scale lets one worker, and then two, take messages over each of which the
// handler waits.
func (b *bench) scale(ctx context.Context) error {
	n := b.Messages / 5
	for workers := 1; workers <= 2; workers++ {
		if err := b.fill(ctx, n); err != nil {
			return err
		}
		var jobs []job
		for w := range workers {
			jobs = append(jobs, job{
				Peer: peerWorker, URL: b.url, DSN: b.file(fmt.Sprintf("scale-%d-%d", workers, w)),
				Concurrency: scaleWindow, Wait: scaleWait,
			})
		}
		rate, _, err := b.time(ctx, n, jobs...)
		if err != nil {
			return err
		}
		b.add(fmt.Sprintf("%s-%d", scale, workers), rate)
		if err := b.empty(); err != nil {
			return err
		}
	}
	return nil
}
