package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/ThreeDotsLabs/watermill/message"
	amqp "github.com/rabbitmq/amqp091-go"

	"github.com/answerfeed/answerfeed/app/event"
	"github.com/answerfeed/answerfeed/internal/producer"
	"github.com/answerfeed/answerfeed/internal/transport/rabbit"
)

// outstanding is how many messages are published and not yet confirmed.
const outstanding = 1000

// answerID is in order, as text too.
func answerID(n int) string { return fmt.Sprintf("a%08d", n) }

// answer is a message as the worker's tools make it: about 250 bytes, four
// answers to a question, of 1,000 authors.
func answer(n int) (*message.Message, error) {
	id := answerID(n)
	payload, err := event.AnswerAdded{
		AnswerID: id, QuestionID: fmt.Sprintf("q%08d", n/4), AuthorID: fmt.Sprintf("author-%d", n%1000),
		Excerpt:    "An answer of ordinary length, as people write them when they know the matter and have a minute.",
		OccurredAt: time.Date(2026, 1, 1, 0, 0, n, 0, time.UTC), EventID: "event-" + id,
	}.Encode()
	if err != nil {
		return nil, err
	}
	return producer.NewMessage("event-"+id, payload, nil), nil
}

// fill puts n answers into the queue, all confirmed when it returns.
func (b *bench) fill(ctx context.Context, n int) error {
	msgs, err := publishings(n)
	if err != nil {
		return err
	}
	return b.publishBare(ctx, "", queue, msgs)
}

func publishings(n int) ([]amqp.Publishing, error) {
	all := make([]amqp.Publishing, n)
	for i := range all {
		m, err := answer(i)
		if err != nil {
			return nil, err
		}
		if all[i], err = (rabbit.Marshaler{}).Marshal(m); err != nil {
			return nil, err
		}
	}
	return all, nil
}

// publishBare publishes on a channel of amqp091, persistent, with so many
// confirmations outstanding. It does not ask for messages that nobody gets to
// be returned.
func (b *bench) publishBare(ctx context.Context, exchange, key string, msgs []amqp.Publishing) (err error) {
	ch, err := b.conn.Channel()
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, ch.Close()) }()
	if err := ch.Confirm(false); err != nil {
		return err
	}
	var waiting [outstanding]*amqp.DeferredConfirmation
	wait := func(slot int) error {
		if waiting[slot] == nil {
			return nil
		}
		ok, err := waiting[slot].WaitContext(ctx)
		if err == nil && !ok {
			err = errors.New("the broker refused a message")
		}
		return err
	}
	for i, m := range msgs {
		if err := wait(i % outstanding); err != nil {
			return err
		}
		if waiting[i%outstanding], err = ch.PublishWithDeferredConfirm(exchange, key, false, false, m); err != nil {
			return err
		}
	}
	for slot := range waiting {
		if err := wait(slot); err != nil {
			return err
		}
	}
	return nil
}

// purge empties a queue and returns how many messages were in it.
func (b *bench) purge(queue string) (n int, err error) {
	ch, err := b.conn.Channel()
	if err != nil {
		return 0, err
	}
	defer func() { err = errors.Join(err, ch.Close()) }()
	return ch.QueuePurge(queue, false)
}

// empty reports messages that a peer has left in the queue.
func (b *bench) empty() error { return b.emptied(queue) }

func (b *bench) emptied(queue string) error {
	n, err := b.purge(queue)
	if err == nil && n > 0 {
		err = fmt.Errorf("%d messages were handled and not acknowledged", n)
	}
	return err
}
