package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"syscall"
	"time"

	amqp "github.com/rabbitmq/amqp091-go"

	"github.com/answerfeed/answerfeed/app"
	"github.com/answerfeed/answerfeed/app/database"
	"github.com/answerfeed/answerfeed/internal/testserver"
)

// bench is a running measurement.
type bench struct {
	settings
	dir      string
	url      string // of the broker
	conn     *amqp.Connection
	client   *app.Client // on the broker
	postgres *testserver.Postgres
	celery   *celery // nil = it is not there
	result   *result
	round    int
}

// postgresSettings are the server's, beside its defaults: room for the queue
// of a million, no checkpoint in the middle of a round, and a log whose files
// are there already.
func postgresSettings() []string {
	return []string{"shared_buffers = '512MB'", "min_wal_size = '2GB'", "max_wal_size = '4GB'", "checkpoint_timeout = '30min'"}
}

// measure starts the servers and runs every round.
func measure(ctx context.Context, s settings, progress io.Writer) (_ *result, err error) {
	b := &bench{settings: s, result: &result{Settings: s, Began: time.Now()}}
	if b.dir, err = os.MkdirTemp("", "answerfeed-bench"); err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(b.dir)) }()
	if s.Database == database.Postgres {
		if b.postgres, err = testserver.StartPostgres(ctx, postgresSettings()...); err != nil {
			return nil, err
		}
		defer func() { err = errors.Join(err, b.postgres.Stop()) }()
	}
	if slices.Contains(s.Transports, onAMQP) {
		broker, err := testserver.StartRabbitMQ(ctx)
		if err != nil {
			return nil, err
		}
		defer func() { err = errors.Join(err, broker.Stop()) }()
		b.url = broker.URL
		// Declares the queue.
		if b.client, err = openClient(ctx, b.job(onAMQP, place{database.SQLite, b.file("client")})); err != nil {
			return nil, err
		}
		defer func() { err = errors.Join(err, b.client.Close()) }()
		if b.conn, err = amqp.Dial(b.url); err != nil {
			return nil, err
		}
		defer func() { err = errors.Join(err, b.conn.Close()) }()
	}
	if slices.Contains(s.Peers, peerCelery) {
		if b.celery, err = findCelery(ctx, b); err != nil {
			b.result.Skipped = append(b.result.Skipped, fmt.Sprintf("Celery was not measured: %s.", err))
			fmt.Fprintln(progress, b.result.Skipped[0])
		}
	}
	if b.result.Machine, err = b.describe(ctx); err != nil {
		return nil, err
	}
	if err := b.rounds(ctx, progress); err != nil {
		return nil, err
	}
	b.result.Ended = time.Now()
	b.result.finish()
	return b.result, nil
}

func (b *bench) rounds(ctx context.Context, progress io.Writer) error {
	for b.round = 1; b.round <= b.Rounds; b.round++ {
		percent, err := busyPercent(ctx)
		if err != nil {
			return err
		}
		b.add(busy, percent)
		order := all()
		if b.round%2 == 0 { // nobody always goes first
			slices.Reverse(order)
		}
		for _, m := range order {
			if !slices.Contains(b.Peers, m.name) || m.name == peerCelery && b.celery == nil {
				continue
			}
			syscall.Sync() // what the one before wrote, and dropped, is not flushed in this one's time
			if err := m.run(ctx, b); err != nil {
				return fmt.Errorf("round %d: %s: %w", b.round, m.name, err)
			}
			fmt.Fprintf(progress, "round %d of %d: %-18s %s\n", b.round, b.Rounds, m.name, b.result.last(m.name))
		}
	}
	return nil
}

func (b *bench) add(name string, value float64) { b.result.add(name, value) }
