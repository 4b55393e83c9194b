package rabbit

import (
	"context"
	"errors"
	"fmt"
	"maps"

	amqp "github.com/rabbitmq/amqp091-go"
)

// within gives up waiting for do when ctx ends: amqp091's requests have no
// context, and a broker that hangs answers none until its missing heartbeats
// end the connection. What do returns after that goes to undo, unless it failed.
func within[T any](ctx context.Context, do func() (T, error), undo func(T)) (T, error) {
	type result struct {
		value T
		err   error
	}
	results, given := make(chan result), make(chan struct{})
	go func() {
		v, err := do()
		select {
		case results <- result{v, err}:
		case <-given:
			if err == nil {
				undo(v)
			}
		}
	}()
	select {
	case r := <-results:
		return r.value, r.err
	case <-ctx.Done():
		close(given)
		var none T
		return none, ctx.Err()
	}
}

// onChannel makes requests on a channel of their own, since an error closes
// it.
func (l *link) onChannel(ctx context.Context, do func(*amqp.Channel) error) error {
	conn, err := l.get(ctx)
	if err != nil {
		return err
	}
	_, err = within(ctx, func() (struct{}, error) {
		ch, err := conn.Channel()
		if err != nil {
			return struct{}{}, fmt.Errorf("opening a channel: %w", err)
		}
		err = do(ch)
		if closeErr := ch.Close(); !errors.Is(closeErr, amqp.ErrClosed) {
			err = errors.Join(err, closeErr)
		}
		return struct{}{}, err
	}, func(struct{}) {})
	return err
}

// inspect counts a queue's ready messages, and tells whether it is there.
func (l *link) inspect(ctx context.Context, queue string) (ready int64, there bool, err error) {
	counts, err := l.count(ctx, []string{queue})
	ready, there = counts[queue]
	return ready, there, err
}

// count counts the ready messages of those of the queues that are there.
func (l *link) count(ctx context.Context, queues []string) (map[string]int64, error) {
	counted := make(chan map[string]int64, 1)
	err := l.onChannel(ctx, func(ch *amqp.Channel) error {
		counts := map[string]int64{}
		defer func() { counted <- counts }()
		for i, queue := range queues {
			q, err := ch.QueueDeclarePassive(queue, true, false, false, false, nil)
			if code(err) == amqp.NotFound { // which closes the channel
				rest, err := l.count(ctx, queues[i+1:])
				maps.Copy(counts, rest)
				return err
			}
			if err != nil {
				return fmt.Errorf("asking for queue %s: %w", queue, err)
			}
			counts[queue] = int64(q.Messages)
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	return <-counted, nil
}

// code is the broker's reason code in err, 0 when there is none.
func code(err error) int {
	var e *amqp.Error
	if errors.As(err, &e) {
		return e.Code
	}
	return 0
}
