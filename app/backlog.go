package app

import (
	"cmp"
	"context"
	"maps"
	"slices"

	"github.com/answerfeed/answerfeed/app/outbox"
	"github.com/answerfeed/answerfeed/internal/deadletter"
	"github.com/answerfeed/answerfeed/internal/transport"
	"github.com/answerfeed/answerfeed/internal/web"
)

// Backlog counts, for each handler and topic, what waits in its queue. Dead
// counts the letters on the desk, and those on their way to it. Letters whose
// queue the transport does not list, because their handler is another
// program's or no more, are listed as well.
func (c *Client) Backlog(ctx context.Context) ([]transport.Backlog, error) {
	queues, err := c.transport.Backlog(ctx)
	if err != nil {
		return nil, err
	}
	letters, err := c.letters.Counts(ctx)
	if err != nil {
		return nil, err
	}
	return withLetters(queues, letters), nil
}

// withLetters adds the letters on the desk to what is in the queues.
func withLetters(queues []transport.Backlog, letters map[deadletter.Queue]int64) []transport.Backlog {
	all, letters := slices.Clone(queues), maps.Clone(letters)
	for i := range all {
		queue := deadletter.Queue{Handler: all[i].Handler, Topic: all[i].Topic}
		all[i].Dead += letters[queue]
		delete(letters, queue)
	}
	for queue, n := range letters {
		all = append(all, transport.Backlog{Handler: queue.Handler, Topic: queue.Topic, Dead: n})
	}
	slices.SortStableFunc(all, func(a, b transport.Backlog) int {
		return cmp.Or(cmp.Compare(a.Topic, b.Topic), cmp.Compare(a.Handler, b.Handler))
	})
	return all
}

// Queues is Backlog without the letters on the desk, for which it does not
// need the tables.
func (c *Client) Queues(ctx context.Context) ([]transport.Backlog, error) {
	return c.transport.Backlog(ctx)
}

// Outbox counts the events that wait in the outbox for a relay.
func (c *Client) Outbox(ctx context.Context) (outbox.Backlog, error) {
	return outbox.Count(ctx, c.db)
}

// outbox is what waits there as the web shows it.
func (a *App) outbox(ctx context.Context) (web.Outbox, error) {
	b, err := a.client.Outbox(ctx)
	return web.Outbox(b), err
}
