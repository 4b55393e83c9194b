package app

import (
	"context"
	"math/rand/v2"
	"time"

	"github.com/answerfeed/answerfeed/internal/demo"
	"github.com/answerfeed/answerfeed/internal/producer"
)

// demoTick is the demo's pace: events of one tick are published together.
const demoTick = 20 * time.Millisecond

// demo publishes invented events until ctx ends.
func (a *App) demo(ctx context.Context) {
	logger := a.client.opts.Logger
	generator := demo.New(rand.Uint64(), time.Now)
	p := producer.New(a.client.Publisher(), func(producer.Item, error) {})
	tick := time.NewTicker(demoTick)
	defer tick.Stop()
	start, sent := time.Now(), 0
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		for due := int(time.Since(start).Seconds() * a.client.opts.Demo); sent <= due; sent++ {
			e := generator.Next()
			if err := generator.Err(); err != nil {
				logger.Error("the demo ends", "error", err)
				return
			}
			if err := p.Add(ctx, producer.Item{Topic: e.Topic, Message: producer.NewMessage(e.ID, e.Payload, nil)}); err != nil && ctx.Err() == nil {
				logger.Error("the demo could not publish", "error", err)
			}
		}
		if err := p.Flush(ctx); err != nil && ctx.Err() == nil {
			logger.Error("the demo could not publish", "error", err)
		}
	}
}
