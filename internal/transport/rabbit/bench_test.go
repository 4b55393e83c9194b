package rabbit_test

import (
	"testing"

	"github.com/ThreeDotsLabs/watermill"
	"github.com/ThreeDotsLabs/watermill/message"
	"github.com/stretchr/testify/require"
)

// BenchmarkPublish publishes with confirmation: one message a call by many
// callers, and in slices.
func BenchmarkPublish(b *testing.B) {
	payload := make([]byte, 300)
	fill := func(n int) (msgs []*message.Message) {
		for range n {
			msgs = append(msgs, message.NewMessage(watermill.NewUUID(), payload))
		}
		return msgs
	}
	for name, size := range map[string]int{"one by one": 1, "slices of 100": 100} {
		b.Run(name, func(b *testing.B) {
			r := migrated(b, settings(shared.get(b).URL, prefix(), noSettings))
			b.SetParallelism(256 / size)
			b.ResetTimer()
			b.RunParallel(func(pb *testing.PB) {
				for pb.Next() {
					require.NoError(b, r.Publisher().Publish(topic, fill(size)...))
				}
			})
			b.ReportMetric(float64(b.N*size)/b.Elapsed().Seconds(), "messages/s")
		})
	}
}
