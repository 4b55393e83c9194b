package leaderboard

import (
	"context"
	"crypto/sha256"
	"fmt"
	"strconv"
	"sync/atomic"
	"testing"
	"time"

	"github.com/answerfeed/answerfeed/app/event"
)

// BenchmarkLeaderboardApply takes answers in from a thousand callers at a
// time, of so many authors.
func BenchmarkLeaderboardApply(b *testing.B) {
	for _, driver := range drivers {
		for _, authors := range []int64{100, 10_000} {
			b.Run(fmt.Sprintf("%s/%d authors", driver, authors), func(b *testing.B) {
				s := newStore(b, openDB(b, driver))
				var next atomic.Int64
				b.SetParallelism(500)
				b.ReportAllocs()
				b.ResetTimer()
				b.RunParallel(func(pb *testing.PB) {
					for pb.Next() {
						i := next.Add(1)
						if err := s.AnswerAdded(context.Background(), event.AnswerAdded{
							QuestionID: fmt.Sprintf("q%d", i*7919%20_000), AnswerID: fmt.Sprintf("a%d", i), AuthorID: fmt.Sprintf("u%d", i*31%authors),
							OccurredAt: time.UnixMicro(1750000000000000 + i), Digest: sha256.Sum256(strconv.AppendInt(nil, i, 10)),
						}); err != nil {
							b.Error(err)
						}
					}
				})
				b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "events/s")
			})
		}
	}
}
