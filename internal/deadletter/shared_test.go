package deadletter_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/answerfeed/answerfeed/internal/deadletter"
)

// PostgreSQL takes no NUL and nothing but UTF-8 as text; a letter is stored
// all the same, and alike on both databases.
func TestStore_KeepsWhatIsNoText(t *testing.T) {
	onEach(t, func(t *testing.T, driver string) {
		s := newStore(t, driver)
		const bad, good = "a\x00b\xff\xfec\xed\xa0\x80", "a\uFFFDb\uFFFDc\uFFFD"
		payload := []byte{0, 0xff, 0xfe, '\\', 0}
		l := &deadletter.Letter{
			Handler: "feed", Topic: "answer-added", Identity: bad, Reason: bad, Error: bad, CorrelationID: bad, UUID: bad,
			Metadata: map[string]string{"k\x00": "v\x00", "é": "\\u0000"}, Payload: payload,
			FirstFailedAt: someTime, LastFailedAt: someTime,
		}
		require.NoError(t, s.Save(t.Context(), l))
		got, err := s.Get(t.Context(), l.ID)
		require.NoError(t, err)
		for _, text := range []string{got.Identity, got.Reason, got.Error, got.CorrelationID, got.UUID} {
			require.Equal(t, good, text)
		}
		require.Equal(t, map[string]string{"k\x00": "v\x00", "é": "\\u0000"}, got.Metadata)
		require.Equal(t, payload, got.Payload)

		bytes := &deadletter.Letter{Identity: "2", Metadata: map[string]string{"k": "\xff"}}
		require.NoError(t, s.Save(t.Context(), bytes))
		got, err = s.Get(t.Context(), bytes.ID)
		require.NoError(t, err)
		require.Equal(t, map[string]string{"k": "\uFFFD"}, got.Metadata)
		_, err = s.Get(t.Context(), "\x00\xff")
		require.ErrorIs(t, err, deadletter.ErrNotFound)
	})
}

// No payload that a broker can carry is too large for the table.
func TestStore_KeepsALargePayload(t *testing.T) {
	onEach(t, func(t *testing.T, driver string) {
		r := newRig(t, driver)
		payload := make([]byte, 24<<20)
		for i := range payload {
			payload[i] = byte(rand.Uint32())
		}
		l := letter(func(l *deadletter.Letter) { l.Payload = payload })
		r.save(t, l, letter(identity("small")))
		got, err := r.store.Get(t.Context(), l.ID)
		require.NoError(t, err)
		require.Equal(t, payload, got.Payload)
		page, err := r.desk.List(t.Context(), deadletter.Filter{}, 10, "")
		require.NoError(t, err)
		require.Len(t, page.Letters, 2)
	})
}

// The same message that is published again and fails again is on the desk
// again. The same failure that is told twice is not.
func TestStore_AnotherFailureOfWhatWasDealtWith(t *testing.T) {
	onEach(t, func(t *testing.T, driver string) {
		for _, act := range []string{"requeue", "discard"} {
			r := newRig(t, driver)
			first := letter()
			r.save(t, first)
			do := r.desk.Discard
			if act == "requeue" {
				do = r.desk.Requeue
			}
			_, err := do(t.Context(), deadletter.Selection{}, deadletter.Options{})
			require.NoError(t, err)
			state := r.state(t, first.ID)

			r.save(t, letter())
			require.Equal(t, state, r.state(t, first.ID), "told twice")
			requireExact(t, r.db)

			again := letter(func(l *deadletter.Letter) {
				l.LastFailedAt, l.Error, l.Payload = l.LastFailedAt.Add(-time.Hour), "another", []byte("other") // clocks differ
			})
			r.save(t, again)
			got, err := r.store.Get(t.Context(), first.ID)
			require.NoError(t, err)
			require.Equal(t, *again, *got)
			requireExact(t, r.db)
		}
	})
}

// Several workers store the same letters, of many problems, in any order, while
// several people work at their desks.
func TestStore_ManyWorkersAndDesks(t *testing.T) {
	onEach(t, func(t *testing.T, driver string) {
		const letters, workers, desks = 300, 3, 3
		r := newRig(t, driver)
		cfg := place(t, driver)
		r.db = openAt(t, cfg)
		var wg sync.WaitGroup
		errs := make(chan error, 100000)
		for range workers {
			s := storeOn(t, openAt(t, cfg)) // as another process has it
			for range 8 {
				wg.Go(func() {
					for _, i := range rand.Perm(letters) {
						errs <- s.Save(t.Context(), letter(identity(fmt.Sprint(i)), func(l *deadletter.Letter) {
							l.Error = string(rune('a' + i%20))
							l.Topic = subscriptions[i%3].Topic
							l.Handler = subscriptions[i%3].Handler
						}))
					}
				})
			}
		}
		moved := make(chan int, 1000)
		for n := range desks {
			d := r.newDesk(fmt.Sprint("desk ", n))
			wg.Go(func() {
				for _, do := range []func() (deadletter.Result, error){
					func() (deadletter.Result, error) {
						return d.Discard(t.Context(), deadletter.Selection{}, deadletter.Options{})
					},
					func() (deadletter.Result, error) {
						return d.Restore(t.Context(), deadletter.Selection{}, deadletter.Options{})
					},
					func() (deadletter.Result, error) {
						return d.Requeue(t.Context(), deadletter.Selection{}, deadletter.Options{})
					},
				} {
					result, err := do()
					errs <- err
					moved <- result.Done
				}
			})
		}
		wg.Wait()
		close(errs)
		close(moved)
		for err := range errs {
			require.NoError(t, err)
		}
		total := 0
		for n := range moved {
			total += n
		}
		requireExact(t, r.db)
		acts, err := r.newDesk("x").Audit(t.Context(), 100)
		require.NoError(t, err)
		for _, a := range acts {
			total -= a.Letters
		}
		require.Zero(t, total, "the audit has every one")
	})
}

// Whatever is done at the desk, in any order, the kept counts are what
// counting would give.
func TestDesk_CountsAreExact(t *testing.T) {
	onEach(t, func(t *testing.T, driver string) {
		r := newRig(t, driver)
		n := 0
		rapid.Check(t, func(t *rapid.T) {
			var ids []string
			t.Repeat(map[string]func(*rapid.T){
				"fail": func(t *rapid.T) {
					n++
					l := letter(identity(fmt.Sprint(n)), func(l *deadletter.Letter) {
						l.Error = rapid.SampledFrom([]string{"one", "two", "three"}).Draw(t, "error")
						l.Topic = rapid.SampledFrom([]string{"answer-added", "question-viewed"}).Draw(t, "topic")
						l.LastFailedAt = someTime.Add(time.Duration(n) * time.Second)
					})
					require.NoError(t, r.store.Save(context.Background(), l))
					ids = append(ids, l.ID)
				},
				"fail again": func(t *rapid.T) {
					if len(ids) == 0 {
						return
					}
					l, err := r.store.Get(context.Background(), rapid.SampledFrom(ids).Draw(t, "id"))
					require.NoError(t, err)
					l.LastFailedAt = l.LastFailedAt.Add(time.Duration(rapid.IntRange(0, 1).Draw(t, "later")) * time.Hour)
					l.Error = rapid.SampledFrom([]string{"one", "two"}).Draw(t, "error")
					require.NoError(t, r.store.Save(context.Background(), l))
				},
				"act": func(t *rapid.T) {
					s := deadletter.Selection{}
					if len(ids) > 0 && rapid.Bool().Draw(t, "by id") {
						s.IDs = rapid.SliceOfN(rapid.SampledFrom(ids), 1, 5).Draw(t, "ids")
					} else {
						s.Filter.Topic = rapid.SampledFrom([]string{"", "answer-added"}).Draw(t, "topic")
						s.Filter.Since = someTime.Add(time.Duration(max(0, n-rapid.IntRange(0, 10).Draw(t, "the last"))) * time.Second)
					}
					o := deadletter.Options{DryRun: rapid.IntRange(0, 4).Draw(t, "dry") == 0}
					do := rapid.SampledFrom([]func(deadletter.Selection, deadletter.Options) (deadletter.Result, error){
						func(s deadletter.Selection, o deadletter.Options) (deadletter.Result, error) {
							return r.desk.Discard(context.Background(), s, o)
						},
						func(s deadletter.Selection, o deadletter.Options) (deadletter.Result, error) {
							return r.desk.Restore(context.Background(), s, o)
						},
						func(s deadletter.Selection, o deadletter.Options) (deadletter.Result, error) {
							return r.desk.Requeue(context.Background(), s, o)
						},
					}).Draw(t, "act")
					result, err := do(s, o)
					require.NoError(t, err)
					require.Equal(t, result.Selected, result.Done+result.Passed+result.Refused)
				},
				"": func(t *rapid.T) { requireExact(t, r.db) },
			})
		})
	})
}
