package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"time"

	"github.com/ThreeDotsLabs/watermill"
	wamqp "github.com/ThreeDotsLabs/watermill-amqp/v2/pkg/amqp"
	"github.com/ThreeDotsLabs/watermill/message"
	amqp "github.com/rabbitmq/amqp091-go"

	"github.com/answerfeed/answerfeed/app/event"
)

// stockChannels is the pool of the stock publisher, and its callers.
const stockChannels = 64

// publish measures publishing half of the messages to the topic's exchange,
// behind which is one quorum queue, until the last is confirmed.
func (b *bench) publish(ctx context.Context, name string) error {
	n := b.Messages / 2
	var send func() error
	switch name {
	case publishBare:
		msgs, err := publishings(n)
		if err != nil {
			return err
		}
		send = func() error { return b.publishBare(ctx, event.TopicAnswerAdded, "", msgs) }
	case publishSlices, publishConcurrent:
		size, ways := outstanding/2, 2
		if name == publishConcurrent {
			size, ways = 1, outstanding
		}
		msgs, err := messages(ctx, 0, n)
		if err != nil {
			return err
		}
		send = func() error { return publishAll(b.client.Publisher(), msgs, size, ways) }
	case publishStock:
		n /= slower
		publisher, err := stockPublisher(b.url)
		if err != nil {
			return err
		}
		defer publisher.Close() //nolint:errcheck // what it had to say, Publish said
		msgs, err := messages(ctx, 0, n)
		if err != nil {
			return err
		}
		send = func() error { return publishAll(publisher, msgs, 1, stockChannels) }
	}
	began := time.Now()
	if err := send(); err != nil {
		return err
	}
	b.add(name, float64(n)/time.Since(began).Seconds())
	there, err := b.purge(queue)
	if err == nil && there != n {
		err = fmt.Errorf("published %d messages, and %d were in the queue", n, there)
	}
	return err
}

// messages are n answers, from one on.
func messages(ctx context.Context, from, n int) ([]*message.Message, error) {
	all := make([]*message.Message, n)
	for i := range all {
		m, err := answer(from + i)
		if err != nil {
			return nil, err
		}
		m.SetContext(ctx)
		all[i] = m
	}
	return all, nil
}

// publishAll publishes in slices of a size, by so many goroutines.
func publishAll(p message.Publisher, msgs []*message.Message, size, ways int) error {
	slice := make(chan []*message.Message, ways)
	errs := make([]error, ways)
	var wg sync.WaitGroup
	for w := range ways {
		wg.Go(func() {
			for part := range slice {
				if errs[w] == nil {
					errs[w] = p.Publish(event.TopicAnswerAdded, part...)
				}
			}
		})
	}
	for part := range slices.Chunk(msgs, size) {
		slice <- part
	}
	close(slice)
	wg.Wait()
	return errors.Join(errs...)
}

// stockPublisher is watermill-amqp's, with confirmations, and as many callers
// as it has channels: with more, it opens a channel for a message.
func stockPublisher(url string) (message.Publisher, error) {
	cfg := wamqp.NewDurablePubSubConfig(url, nil)
	cfg.Publish.ConfirmDelivery = true
	cfg.Publish.ChannelPoolSize = stockChannels
	cfg.Exchange.Type = amqp.ExchangeFanout
	return wamqp.NewPublisher(cfg, watermill.NewSlogLogger(slog.New(slog.DiscardHandler)))
}
