package middleware_test

import (
	"context"
	"slices"
	"sync"
	"testing"

	"github.com/ThreeDotsLabs/watermill/message"

	"github.com/answerfeed/answerfeed/app/event"
	"github.com/answerfeed/answerfeed/middleware"
)

// A message through the whole chain to a handler that decodes it, with 1,000
// in flight, each on a goroutine of its own, as the router has it.
func BenchmarkChain(b *testing.B) {
	r := newRig(b)
	handle := message.HandlerFunc(func(m *message.Message) ([]*message.Message, error) {
		_, err := event.DecodeAnswerAdded(m.Payload)
		return nil, err
	})
	for _, mw := range slices.Backward(middleware.Chain(r.Settings)) {
		handle = mw(handle)
	}
	places := make(chan struct{}, 1000)
	var wg sync.WaitGroup
	b.ReportAllocs()
	for b.Loop() {
		places <- struct{}{}
		wg.Go(func() {
			m := message.NewMessage("u1", []byte(payload))
			ctx, cancel := context.WithCancel(context.Background())
			m.SetContext(ctx)
			if _, err := handle(m); err != nil {
				b.Error(err)
			}
			cancel()
			<-places
		})
	}
	wg.Wait()
}
