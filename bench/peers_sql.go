package main

import (
	"context"
	stdsql "database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"sync/atomic"
	"time"

	wsql "github.com/ThreeDotsLabs/watermill-sql/v3/pkg/sql"
	"github.com/ThreeDotsLabs/watermill/message"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	_ "github.com/jackc/pgx/v5/stdlib" // "pgx", of watermill-sql
	"github.com/riverqueue/river"
	"github.com/riverqueue/river/riverdriver/riverpgxv5"
	"github.com/riverqueue/river/rivermigrate"

	"github.com/answerfeed/answerfeed/app/event"
	"github.com/answerfeed/answerfeed/bench/effect"
)

const (
	riverWorkers = 100
	// riverCooldown and riverPoll are how often River fetches: its defaults,
	// 100 ms and 1 s, would allow it 1,000 jobs a second.
	riverCooldown, riverPoll = 2 * time.Millisecond, 20 * time.Millisecond
	riverLeft                = `SELECT count(*) FROM river_job WHERE state <> 'completed'`

	// watermillSQLWithin bounds a round of watermill-sql.
	watermillSQLWithin = 10 * time.Second
)

// riverJob is a payload as River's job.
type riverJob struct {
	Event json.RawMessage `json:"event"`
}

// Kind is the name of these jobs.
func (riverJob) Kind() string { return "answer-added" }

type riverWorker struct {
	river.WorkerDefaults[riverJob]
	table   *effect.Table
	handled *atomic.Int64
}

// Work is the effect, in a transaction of its own.
func (w *riverWorker) Work(ctx context.Context, j *river.Job[riverJob]) error {
	return counted(w.handled, commit(ctx, w.table, j.Args.Event))
}

func openRiver(ctx context.Context, dsn string, table *effect.Table, handled *atomic.Int64) (consumer, error) {
	pool, err := pgxpool.New(ctx, dsn)
	if err != nil {
		return consumer{}, err
	}
	workers := river.NewWorkers()
	river.AddWorker(workers, &riverWorker{table: table, handled: handled})
	client, err := river.NewClient(riverpgxv5.New(pool), &river.Config{
		FetchCooldown: riverCooldown, FetchPollInterval: riverPoll, Workers: workers,
		Queues: map[string]river.QueueConfig{river.QueueDefault: {MaxWorkers: riverWorkers}},
		Logger: slog.New(slog.DiscardHandler),
	})
	if err != nil {
		pool.Close()
		return consumer{}, err
	}
	return consumer{
		start: func() error { return client.Start(ctx) },
		stop: func() error {
			defer pool.Close()
			return client.Stop(ctx)
		},
	}, nil
}

// drainRiver lets River take n jobs that wait.
func (b *bench) drainRiver(ctx context.Context, n int) (err error) {
	p, remove, err := b.place(ctx, peerRiver)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, remove()) }()
	if err := fillRiver(ctx, p, n); err != nil {
		return fmt.Errorf("filling River's table: %w", err)
	}
	j := b.job(onSQL, p)
	j.Peer = peerRiver
	if err := b.record(ctx, peerRiver, task{n: n}, j); err != nil {
		return err
	}
	var left int
	if err := p.number(ctx, riverLeft, &left); err != nil {
		return err
	}
	if left > 0 {
		return fmt.Errorf("%d jobs were worked and not completed", left)
	}
	return checkAll(ctx, p, n)
}

func fillRiver(ctx context.Context, p place, n int) error {
	pool, err := pgxpool.New(ctx, p.dsn)
	if err != nil {
		return err
	}
	defer pool.Close()
	migrator, err := rivermigrate.New(riverpgxv5.New(pool), &rivermigrate.Config{Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		return err
	}
	if _, err := migrator.Migrate(ctx, rivermigrate.DirectionUp, nil); err != nil {
		return err
	}
	client, err := river.NewClient[pgx.Tx](riverpgxv5.New(pool), &river.Config{Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		return err
	}
	for from := 0; from < n; from += slice {
		msgs, err := messages(ctx, from, min(slice, n-from))
		if err != nil {
			return err
		}
		jobs := make([]river.InsertManyParams, len(msgs))
		for i, m := range msgs {
			jobs[i].Args = riverJob{Event: json.RawMessage(m.Payload)}
		}
		if _, err := client.InsertManyFast(ctx, jobs); err != nil {
			return err
		}
	}
	return p.settle(ctx)
}

// openWatermillSQL is Watermill's router on watermill-sql's subscriber, as it
// comes.
func openWatermillSQL(dsn string, handle message.NoPublishHandlerFunc) (consumer, error) {
	pool, err := stdsql.Open("pgx", dsn)
	if err != nil {
		return consumer{}, err
	}
	subscriber, err := wsql.NewSubscriber(pool, wsql.SubscriberConfig{
		ConsumerGroup: workerName, InitializeSchema: true,
		SchemaAdapter: wsql.DefaultPostgreSQLSchema{}, OffsetsAdapter: wsql.DefaultPostgreSQLOffsetsAdapter{},
	}, quietLogger())
	if err != nil {
		return consumer{}, errors.Join(err, pool.Close())
	}
	c, err := openRouter(subscriber, 1, handle)
	return c.then(pool.Close), err
}

// drainWatermillSQL lets watermill-sql take of n messages as many as it can in
// a bounded time.
func (b *bench) drainWatermillSQL(ctx context.Context, n int) (err error) {
	p, remove, err := b.place(ctx, peerWatermillSQL)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, remove()) }()
	if err := fillWatermillSQL(ctx, p, n); err != nil {
		return fmt.Errorf("filling watermill-sql's table: %w", err)
	}
	j := b.job(onSQL, p)
	j.Peer = peerWatermillSQL
	if err := b.record(ctx, peerWatermillSQL, task{n: min(n, b.Messages/slower), atMost: watermillSQLWithin}, j); err != nil {
		return err
	}
	_, err = count(ctx, p)
	return err
}

func fillWatermillSQL(ctx context.Context, p place, n int) (err error) {
	pool, err := stdsql.Open("pgx", p.dsn)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, pool.Close()) }()
	schema := wsql.DefaultPostgreSQLSchema{}
	for _, q := range schema.SchemaInitializingQueries(event.TopicAnswerAdded) {
		if _, err := pool.ExecContext(ctx, q.Query, q.Args...); err != nil {
			return err
		}
	}
	publisher, err := wsql.NewPublisher(pool, wsql.PublisherConfig{SchemaAdapter: schema}, quietLogger())
	if err != nil {
		return err
	}
	for from := 0; from < n; from += part {
		msgs, err := messages(ctx, from, min(part, n-from))
		if err == nil {
			err = publishAll(publisher, msgs, slice, ways)
		}
		if err != nil {
			return err
		}
	}
	return errors.Join(publisher.Close(), p.settle(ctx))
}
