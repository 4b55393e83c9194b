package app

import "context"

// Holdings are what Prune would remove of a handler, and who reads it.
type Holdings struct {
	Ready, Delayed, InFlight, Dead int64
	// Readers is how many workers read the queues now, or did so within the
	// last 15 s.
	Readers int
}

// Messages is how many Prune would remove.
func (h Holdings) Messages() int64 { return h.Ready + h.Delayed + h.InFlight + h.Dead }

// Holds looks into the queues of a handler. On RabbitMQ messages that a worker
// was sent are not seen.
func (c *Client) Holds(ctx context.Context, handler string) (h Holdings, err error) {
	all, err := c.transport.Backlog(ctx)
	if err != nil {
		return h, err
	}
	for _, b := range all {
		if b.Handler == handler {
			h.Ready, h.Delayed, h.InFlight, h.Dead = h.Ready+b.Ready, h.Delayed+b.Delayed, h.InFlight+b.InFlight, h.Dead+b.Dead
		}
	}
	h.Readers, err = c.transport.Readers(ctx, handler)
	return h, err
}
