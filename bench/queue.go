package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/answerfeed/answerfeed/app/database"
)

const (
	// slice is how many messages one call publishes where a table is filled,
	// and ways how many calls do so at once.
	slice, ways = 1000, 4
	// part bounds what is in memory meanwhile.
	part = 50_000

	queueSize = `SELECT pg_total_relation_size('queue_messages')`
	queueLeft = `SELECT count(*) FROM queue_messages`
	// tidiedUp is the size of the queue table at which the wait for the
	// worker's housekeeping ends; it looks once a minute.
	tidiedUp   = 10 << 20
	tidyWithin = 150 * time.Second
)

// fillTable puts n answers into the queue table, through the worker's own
// publisher.
func (b *bench) fillTable(ctx context.Context, p place, n int) (err error) {
	client, err := openClient(ctx, b.job(onSQL, p))
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, client.Close()) }()
	for from := 0; from < n; from += part {
		msgs, err := messages(ctx, from, min(part, n-from))
		if err == nil {
			err = publishAll(client.Publisher(), msgs, slice, ways)
		}
		if err != nil {
			return fmt.Errorf("filling the queue: %w", err)
		}
	}
	return p.settle(ctx)
}

// drainSQL lets the worker take messages that wait in PostgreSQL.
func (b *bench) drainSQL(ctx context.Context) error {
	return b.withTable(ctx, sqlWorker, b.Messages, func(p place) error {
		if err := b.record(ctx, sqlWorker, task{n: b.Messages}, b.job(onSQL, p)); err != nil {
			return err
		}
		return errors.Join(checkAll(ctx, p, b.Messages), checkLeft(ctx, p, 0))
	})
}

// backlogs lets the worker take the same messages with few and with many
// behind them.
func (b *bench) backlogs(ctx context.Context) error {
	for _, c := range []struct {
		name   string
		behind int
	}{{sqlBacklog + few, b.Waiting / fewer}, {sqlBacklog + many, b.Waiting}} {
		published := b.Messages + c.behind
		err := b.withTable(ctx, c.name, published, func(p place) error {
			if err := b.record(ctx, c.name, task{n: b.Messages}, b.job(onSQL, p)); err != nil {
				return err
			}
			handled, err := count(ctx, p)
			if err != nil {
				return err
			}
			return checkLeft(ctx, p, published-handled)
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// room tells, in the first round, what the larger backlog leaves of the table.
func (b *bench) room(ctx context.Context) error {
	if b.round > 1 {
		return nil
	}
	return b.withTable(ctx, sqlRoom, b.Waiting, func(p place) (err error) {
		if err := b.addSize(ctx, p, "-before"); err != nil {
			return err
		}
		changed := make(chan struct{}, 1)
		worker, err := launch(ctx, b.job(onSQL, p), func() {
			select {
			case changed <- struct{}{}:
			default:
			}
		})
		if err != nil {
			return err
		}
		defer func() { err = errors.Join(err, worker.stop()) }()
		if err := worker.start(); err != nil {
			return err
		}
		for worker.handled.Load() < int64(b.Waiting) {
			select {
			case <-changed:
			case <-time.After(stalled):
				return fmt.Errorf("no progress for %s", stalled)
			}
			if err := ended([]*process{worker}); err != nil {
				return err
			}
		}
		if err := b.waitForRoom(ctx, p); err != nil {
			return err
		}
		return b.addSize(ctx, p, "-after")
	})
}

func (b *bench) waitForRoom(ctx context.Context, p place) error {
	began := time.Now()
	for time.Since(began) < tidyWithin {
		var bytes int64
		if err := p.number(ctx, queueSize, &bytes); err != nil {
			return err
		}
		if bytes < tidiedUp {
			break
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(time.Second):
		}
	}
	b.add(sqlRoom+"-seconds", time.Since(began).Seconds())
	return nil
}

func (b *bench) addSize(ctx context.Context, p place, when string) error {
	var bytes int64
	if err := p.number(ctx, queueSize, &bytes); err != nil {
		return err
	}
	b.add(sqlRoom+when, float64(bytes)/(1<<20))
	return nil
}

// withTable makes a queue table with n messages in it.
func (b *bench) withTable(ctx context.Context, name string, n int, do func(place) error) (err error) {
	p, remove, err := b.place(ctx, name)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, remove()) }()
	if err := b.fillTable(ctx, p, n); err != nil {
		return err
	}
	return do(p)
}

// checkLeft reports when other than n messages are left in the queue table.
func checkLeft(ctx context.Context, p place, n int) error {
	var left int
	if err := p.number(ctx, queueLeft, &left); err != nil {
		return err
	}
	if left != n {
		return fmt.Errorf("%d messages are left in the queue table, and should be %d", left, n)
	}
	return nil
}

// scale lets one worker, and then two, take messages over each of which the
// handler waits.
func (b *bench) scale(ctx context.Context, name, transport string) error {
	for workers := 1; workers <= 2; workers++ {
		rate, err := b.share(ctx, transport, workers)
		if err != nil {
			return err
		}
		b.add(fmt.Sprintf("%s-%d", name, workers), rate)
	}
	return nil
}

func (b *bench) share(ctx context.Context, transport string, workers int) (rate float64, err error) {
	n := b.Messages / 5
	p, remove, err := b.place(ctx, scale)
	if err != nil {
		return 0, err
	}
	defer func() { err = errors.Join(err, remove()) }()
	var jobs []job
	for w := range workers {
		j := b.job(transport, p)
		if p.driver == database.SQLite { // a file of its own
			j.DSN = b.file(fmt.Sprintf("%s-%d-%d", scale, workers, w))
		}
		j.Concurrency, j.Wait = scaleWindow, scaleWait
		jobs = append(jobs, j)
	}
	empty := b.empty
	if transport == onSQL {
		err = b.fillTable(ctx, p, n)
		empty = func() error { return checkLeft(ctx, p, 0) }
	} else {
		err = b.fill(ctx, n)
	}
	if err != nil {
		return 0, err
	}
	if rate, _, _, err = b.time(ctx, task{n: n}, jobs...); err != nil {
		return 0, err
	}
	return rate, empty()
}
