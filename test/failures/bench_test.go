package failures

import (
	"sync/atomic"
	"testing"
	"time"

	"github.com/ThreeDotsLabs/watermill/message"
	"github.com/stretchr/testify/require"

	"github.com/answerfeed/answerfeed/handlers"
)

// benchEach is onEach for a benchmark, one after the other.
func benchEach(b *testing.B, measure func(b *testing.B, p func() place)) {
	b.Run("SQLite", func(b *testing.B) { measure(b, func() place { return onSQLite(b) }) })
	b.Run("PostgreSQL", func(b *testing.B) {
		measure(b, func() place { return onPostgres(b, newDatabase(b, postgres.get(b))) })
	})
	b.Run("AMQP", func(b *testing.B) {
		measure(b, func() place { return onAMQP(b, newDatabase(b, postgres.get(b))) })
	})
}

// healthyRate drains the messages, behind others that a worker has put off, and
// returns how many healthy ones were handled a second.
func healthyRate(b *testing.B, p place, first, msgs []*message.Message) float64 {
	var handled atomic.Int64
	all := []handlers.Handler{picky(&handled)}
	change := handler("recorder", retries(1, time.Hour))
	client := p.open(b, all, change)
	if len(first) > 0 {
		publishAll(b, client.Publisher(), first)
		w := p.run(b, all, change)
		eventually(b, "all wait", func() bool { return w.deliveries(b, "recorder")["redelivered"] >= len(first) })
		w.stop(b)
	}
	healthy := 0
	for _, m := range msgs {
		if string(m.Payload) == "healthy" {
			healthy++
		}
	}
	publishAll(b, client.Publisher(), msgs)
	begin := time.Now()
	w := p.run(b, all, change)
	eventually(b, "all healthy ones are handled", func() bool { return handled.Load() >= int64(healthy) })
	took := time.Since(begin)
	w.stop(b)
	require.Equal(b, healthy, w.deliveries(b, "recorder")["handled"])
	return float64(healthy) / took.Seconds()
}

// BenchmarkFlood reports how fast healthy messages are handled among as many
// that are poison, and the ratio to the rate without any.
func BenchmarkFlood(b *testing.B) {
	const n = 50_000
	benchEach(b, func(b *testing.B, p func() place) {
		for b.Loop() {
			clean := healthyRate(b, p(), nil, numbered("healthy", n/2, "healthy"))
			among := healthyRate(b, p(), nil, mixed(n, "poison"))
			b.ReportMetric(clean, "clean/s")
			b.ReportMetric(among, "among-poison/s")
			b.ReportMetric(among/clean, "ratio")
		}
	})
}

// BenchmarkBesideRedeliveries reports how fast healthy messages are handled
// while 10,000 wait for their redelivery, and the ratio to the rate without any.
func BenchmarkBesideRedeliveries(b *testing.B) {
	const n, waiting = 50_000, 10_000
	benchEach(b, func(b *testing.B, p func() place) {
		for b.Loop() {
			clean := healthyRate(b, p(), nil, numbered("healthy", n, "healthy"))
			beside := healthyRate(b, p(), numbered("ill", waiting, "ill"), numbered("healthy", n, "healthy"))
			b.ReportMetric(clean, "clean/s")
			b.ReportMetric(beside, "beside/s")
			b.ReportMetric(beside/clean, "ratio")
		}
	})
}
