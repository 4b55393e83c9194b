package deadletter_test

import (
	"fmt"
	"os"
	"strconv"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/answerfeed/answerfeed/app/database"
	"github.com/answerfeed/answerfeed/internal/deadletter"
)

// BenchmarkDesk is the desk with a great many letters. Set
// WORKER_TEST_LETTERS=1000000 for the large one. Each figure is of one call:
// ns/op, and slowest-ms.
func BenchmarkDesk(b *testing.B) {
	n := 20_000
	if given, err := strconv.Atoi(os.Getenv("WORKER_TEST_LETTERS")); err == nil {
		n = given
	}
	at := func(i int) time.Time { return time.UnixMicro(1700000000000000).Add(time.Duration(i) * time.Second) }
	filters := []struct {
		name string
		f    deadletter.Filter
	}{
		{"all", deadletter.Filter{}},
		{"handler", deadletter.Filter{Handler: "handler-1"}},
		{"topic", deadletter.Filter{Topic: "topic-1"}},
		{"reason", deadletter.Filter{Reason: "reason-1"}},
		{"handler, topic", deadletter.Filter{Handler: "handler-1", Topic: "topic-1"}},
		{"handler, reason, none has both", deadletter.Filter{Handler: "handler-4", Reason: "reason-5"}},
		{"topic, reason", deadletter.Filter{Topic: "topic-1", Reason: "reason-1"}},
		{"handler, topic, reason, none has all", deadletter.Filter{Handler: "handler-4", Topic: "topic-1", Reason: "reason-5"}},
		{"fingerprint", deadletter.Filter{Fingerprint: "fingerprint-1036"}},
		{"fingerprint, handler, reason", deadletter.Filter{Fingerprint: "fingerprint-1036", Handler: "handler-1", Reason: "reason-1"}},
		{"fingerprint of another handler", deadletter.Filter{Fingerprint: "fingerprint-1036", Handler: "handler-4"}},
		{"since, until", deadletter.Filter{Since: at(n / 2), Until: at(n/2 + n/100)}},
		{"handler, until", deadletter.Filter{Handler: "handler-1", Until: at(n / 3)}},
		{"discarded", deadletter.Filter{State: deadletter.Discarded}},
		{"requeued, there are none", deadletter.Filter{State: deadletter.Requeued, Handler: "handler-1"}},
		{"text, a page of the search", deadletter.Filter{Text: "no such text"}},
	}
	for _, driver := range []string{database.SQLite, database.Postgres} {
		b.Run(driver, func(b *testing.B) {
			db := openAt(b, place(b, driver))
			stock(b, db, n)
			desk := deadletter.NewDesk(deadletter.DeskOptions{DB: db})
			for _, test := range filters {
				b.Run("list/"+test.name, func(b *testing.B) {
					timed(b, func() error {
						_, err := desk.List(b.Context(), test.f, 50, "")
						return err
					})
				})
			}
			b.Run("list/a page of the middle", func(b *testing.B) {
				page, err := desk.List(b.Context(), deadletter.Filter{Until: at(n / 2)}, 1, "")
				require.NoError(b, err)
				timed(b, func() error {
					_, err := desk.List(b.Context(), deadletter.Filter{}, 50, page.Next)
					return err
				})
			})
			b.Run("groups", func(b *testing.B) {
				timed(b, func() error {
					groups, err := desk.Groups(b.Context(), deadletter.Filter{}, 100)
					if len(groups) != 100 {
						return fmt.Errorf("%d groups", len(groups))
					}
					return err
				})
			})
			b.Run("groups of a handler", func(b *testing.B) {
				timed(b, func() error {
					_, err := desk.Groups(b.Context(), deadletter.Filter{Handler: "handler-1"}, 100)
					return err
				})
			})
			store := storeOn(b, db)
			b.Run("counts", func(b *testing.B) {
				timed(b, func() error {
					_, err := store.Counts(b.Context())
					return err
				})
			})
		})
	}
}

// timed also reports the slowest call.
func timed(b *testing.B, call func() error) {
	b.Helper()
	var slowest time.Duration
	for b.Loop() {
		began := time.Now()
		require.NoError(b, call())
		slowest = max(slowest, time.Since(began))
	}
	b.ReportMetric(float64(slowest.Microseconds())/1000, "slowest-ms")
}
