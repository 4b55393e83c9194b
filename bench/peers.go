package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync/atomic"
	"time"

	"github.com/ThreeDotsLabs/watermill"
	wamqp "github.com/ThreeDotsLabs/watermill-amqp/v2/pkg/amqp"
	"github.com/ThreeDotsLabs/watermill/message"
	amqp "github.com/rabbitmq/amqp091-go"

	"github.com/answerfeed/answerfeed/app/database"
	"github.com/answerfeed/answerfeed/app/event"
	"github.com/answerfeed/answerfeed/bench/effect"
	"github.com/answerfeed/answerfeed/internal/transport/rabbit"
)

const (
	workerName = "bench" // of the worker's handler
	queue      = event.TopicAnswerAdded + "." + workerName

	bareBatch    = 256
	barePrefetch = 4 * bareBatch
	// bareFill is how long the loop waits for a batch to fill.
	bareFill = 2 * time.Millisecond
	manyWays = 128
	// groupCommit is the most that share a commit, where a peer has a group
	// commit: the worker and stock-many.
	groupCommit = 512
)

// open prepares a peer.
func open(ctx context.Context, j job, handled *atomic.Int64) (consumer, error) {
	if j.Peer == peerWorker {
		return openWorker(ctx, j, handled)
	}
	cfg := database.Config{Driver: j.Driver, DSN: j.DSN}
	if j.Peer == peerRiver {
		cfg.Writers = riverWorkers // one for each
	}
	db, err := database.Open(ctx, cfg)
	if err != nil {
		return consumer{}, err
	}
	if err := effect.Create(ctx, db); err != nil {
		return consumer{}, errors.Join(err, db.Close())
	}
	table, err := effect.New(db)
	if err != nil {
		return consumer{}, errors.Join(err, db.Close())
	}
	each := func(m *message.Message) error {
		return counted(handled, commit(m.Context(), table, m.Payload))
	}
	var c consumer
	switch j.Peer {
	case peerBare:
		c, err = openBare(ctx, j.URL, table, handled)
	case peerStock:
		c, err = openStock(j.URL, 1, each)
	case peerMany:
		batcher := database.NewGroup(groupCommit, table.CommitAll)
		c, err = openStock(j.URL, manyWays, func(m *message.Message) error {
			a, err := event.DecodeAnswerAdded(m.Payload)
			if err == nil {
				err = batcher.Do(m.Context(), a)
			}
			return counted(handled, err)
		})
		c = c.then(func() error { batcher.Close(); return nil })
	case peerRiver:
		c, err = openRiver(ctx, j.DSN, table, handled)
	case peerWatermillSQL:
		c, err = openWatermillSQL(j.DSN, each)
	case peerCelery:
		c, err = openCelery(ctx, j, db, handled)
	default:
		err = fmt.Errorf("no such peer: %q", j.Peer)
	}
	return c.then(func() error { table.Close(); return db.Close() }), err
}

// commit is the effect of a payload, in a transaction of its own.
func commit(ctx context.Context, table *effect.Table, payload []byte) error {
	a, err := event.DecodeAnswerAdded(payload)
	if err == nil {
		err = table.Commit(ctx, a)
	}
	return err
}

func counted(handled *atomic.Int64, err error) error {
	if err == nil {
		handled.Add(1)
	}
	return err
}

// then adds to the end of a consumer.
func (c consumer) then(step func() error) consumer {
	stop := c.stop
	c.stop = func() error {
		if stop == nil {
			return step()
		}
		return errors.Join(stop(), step())
	}
	return c
}

// openBare is what a careful programmer writes without any framework: batches
// of 256, a transaction a batch, one acknowledgement a batch. It has no
// retry, no dead letters, no time limits, no reconnection, and a bad message
// ends it.
func openBare(ctx context.Context, url string, table *effect.Table, handled *atomic.Int64) (consumer, error) {
	conn, err := amqp.Dial(url)
	if err != nil {
		return consumer{}, err
	}
	ch, err := conn.Channel()
	if err == nil {
		err = ch.Qos(barePrefetch, 0, false)
	}
	if err != nil {
		return consumer{}, errors.Join(err, conn.Close())
	}
	ended := make(chan error, 1)
	return consumer{
		start: func() error {
			deliveries, err := ch.Consume(queue, "bare", false, false, false, false, nil)
			if err != nil {
				return err
			}
			go func() { ended <- bareLoop(ctx, ch, deliveries, table, handled) }()
			return nil
		},
		stop: func() error {
			err := ch.Cancel("bare", false)
			return errors.Join(err, <-ended, conn.Close())
		},
	}, nil
}

func bareLoop(ctx context.Context, ch *amqp.Channel, deliveries <-chan amqp.Delivery, table *effect.Table, handled *atomic.Int64) error {
	for {
		batch := make([]event.AnswerAdded, 0, bareBatch)
		var last uint64
		var full <-chan time.Time
		for waiting := true; waiting && len(batch) < bareBatch; {
			select {
			case d, ok := <-deliveries:
				if !ok {
					waiting = false
					break
				}
				a, err := event.DecodeAnswerAdded(d.Body)
				if err != nil {
					return err
				}
				if last == 0 {
					full = time.After(bareFill)
				}
				batch, last = append(batch, a), d.DeliveryTag
			case <-full:
				waiting = false
			}
		}
		if last == 0 {
			return nil // cancelled
		}
		if err := table.Commit(ctx, batch...); err != nil {
			return err
		}
		if err := ch.Ack(last, true); err != nil {
			return err
		}
		handled.Add(int64(len(batch)))
	}
}

// openStock is Watermill's router on watermill-amqp's preset for queues, with
// so many handlers on the one queue. Two things differ from the preset: the
// queue's name, and its declaration, since the queue is there already.
func openStock(url string, ways int, handle message.NoPublishHandlerFunc) (consumer, error) {
	cfg := wamqp.NewDurableQueueConfig(url)
	cfg.Queue.GenerateName = wamqp.GenerateQueueNameConstant(queue)
	cfg.TopologyBuilder = rabbit.Topology{}
	subscriber, err := wamqp.NewSubscriber(cfg, quietLogger())
	if err != nil {
		return consumer{}, err
	}
	return openRouter(subscriber, ways, handle)
}

func quietLogger() watermill.LoggerAdapter {
	return watermill.NewSlogLoggerWithLevelMapping(slog.New(slog.DiscardHandler), nil)
}

// openRouter is Watermill's router, with so many handlers on a subscriber.
func openRouter(subscriber message.Subscriber, ways int, handle message.NoPublishHandlerFunc) (consumer, error) {
	router, err := message.NewRouter(message.RouterConfig{CloseTimeout: 10 * time.Second}, quietLogger())
	if err != nil {
		return consumer{}, errors.Join(err, subscriber.Close())
	}
	for n := range ways {
		router.AddConsumerHandler(fmt.Sprintf("bench-%d", n), event.TopicAnswerAdded, subscriber, handle)
	}
	ended := make(chan error, 1)
	return consumer{
		start: func() error {
			go func() { ended <- router.Run(context.Background()) }()
			return nil
		},
		stop: func() error { return errors.Join(router.Close(), <-ended) },
	}, nil
}
