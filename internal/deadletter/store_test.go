package deadletter_test

import (
	"bytes"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/answerfeed/answerfeed/app/database"
	"github.com/answerfeed/answerfeed/internal/deadletter"
)

func TestStore_KeepsALetterByteForByte(t *testing.T) {
	onEach(t, func(t *testing.T, driver string) {
		s := newStore(t, driver)
		n := 0
		rapid.Check(t, func(t *rapid.T) {
			n++
			text := rapid.String()
			moment := func(name string) time.Time {
				return time.UnixMicro(rapid.Int64Range(0, 253402300799999999).Draw(t, name)).UTC()
			}
			saved := deadletter.Letter{
				Handler: "feed", Topic: "answer-added", Identity: fmt.Sprint(n),
				Requeues: rapid.IntRange(0, 9).Draw(t, "requeues"), Reason: text.Draw(t, "reason"), Error: text.Draw(t, "error"),
				CorrelationID: text.Draw(t, "correlation id"),
				Attempts:      rapid.Int().Draw(t, "attempts"), Redeliveries: rapid.Int().Draw(t, "redeliveries"),
				FirstFailedAt: moment("first"), LastFailedAt: moment("last"),
				UUID: text.Draw(t, "uuid"), Metadata: rapid.MapOf(text, text).Draw(t, "metadata"),
				Payload: rapid.SliceOf(rapid.Byte()).Draw(t, "payload"),
			}
			require.NoError(t, s.Save(t.Context(), &saved))
			got, err := s.Get(t.Context(), saved.ID)
			require.NoError(t, err)
			require.True(t, bytes.Equal(saved.Payload, got.Payload))
			got.Payload = saved.Payload // empty and nil are one
			require.Equal(t, saved, *got)
		})
	})
}

func TestStore_KeepsALetterWithoutAnything(t *testing.T) {
	onEach(t, func(t *testing.T, driver string) {
		s, l := newStore(t, driver), &deadletter.Letter{}
		require.NoError(t, s.Save(t.Context(), l))
		got, err := s.Get(t.Context(), l.ID)
		require.NoError(t, err)
		require.Empty(t, got.Payload)
		require.Empty(t, got.Metadata)
		require.Equal(t, deadletter.Dead, got.State)
	})
}

func TestStore_GetUnknown(t *testing.T) {
	onEach(t, func(t *testing.T, driver string) {
		_, err := newStore(t, driver).Get(t.Context(), "no-such-id")
		require.ErrorIs(t, err, deadletter.ErrNotFound)
	})
}

func TestStore_SavedTwiceIsSavedOnce(t *testing.T) {
	onEach(t, func(t *testing.T, driver string) {
		s, first := newStore(t, driver), letter()
		require.NoError(t, s.Save(t.Context(), first))
		again := letter(func(l *deadletter.Letter) { l.Error, l.Attempts = "something else", 9 })
		require.NoError(t, s.Save(t.Context(), again))
		require.Equal(t, first.ID, again.ID)
		got, err := s.Get(t.Context(), first.ID)
		require.NoError(t, err)
		require.Equal(t, *first, *got, "the first one stays")
		counts, err := s.Counts(t.Context())
		require.NoError(t, err)
		require.Equal(t, map[deadletter.Queue]int64{{Handler: "feed", Topic: "answer-added"}: 1}, counts)
	})
}

func TestStore_IDFollowsFromWhatItIs(t *testing.T) {
	onEach(t, func(t *testing.T, driver string) {
		s := newStore(t, driver)
		ids := map[string]bool{}
		for _, l := range []*deadletter.Letter{
			letter(),
			letter(identity("e2")),
			letter(func(l *deadletter.Letter) { l.Handler = "leaderboard" }),
			letter(func(l *deadletter.Letter) { l.Topic = "answer-removed" }),
			letter(func(l *deadletter.Letter) { l.Requeues = 1 }),
			// The same bytes in a row, cut elsewhere.
			letter(func(l *deadletter.Letter) { l.Handler, l.Topic = "feeda", "nswer-added" }),
		} {
			require.NoError(t, s.Save(t.Context(), l))
			require.Regexp(t, `^[0-9a-f]{32}$`, l.ID)
			require.Regexp(t, `^[0-9a-f]{16}$`, l.Fingerprint)
			require.False(t, ids[l.ID])
			ids[l.ID] = true
		}
		same := letter(func(l *deadletter.Letter) { l.Reason, l.Error, l.Payload = "panic", "x", []byte("y") })
		require.NoError(t, s.Save(t.Context(), same))
		require.True(t, ids[same.ID])
	})
}

func TestStore_CountsByHandlerAndTopic(t *testing.T) {
	onEach(t, func(t *testing.T, driver string) {
		s := newStore(t, driver)
		counts, err := s.Counts(t.Context())
		require.NoError(t, err)
		require.Empty(t, counts)
		for i := range 3 { // of three different problems
			require.NoError(t, s.Save(t.Context(), letter(identity(fmt.Sprint("a", i)), func(l *deadletter.Letter) {
				l.Error = []string{"one", "two", "three"}[i]
			})))
		}
		for i := range 2 {
			require.NoError(t, s.Save(t.Context(), letter(identity(fmt.Sprint("b", i)), func(l *deadletter.Letter) { l.Handler = "leaderboard" })))
		}
		require.NoError(t, s.Save(t.Context(), letter(func(l *deadletter.Letter) { l.Topic = "answer-removed" })))
		counts, err = s.Counts(t.Context())
		require.NoError(t, err)
		require.Equal(t, map[deadletter.Queue]int64{
			{Handler: "feed", Topic: "answer-added"}:        3,
			{Handler: "feed", Topic: "answer-removed"}:      1,
			{Handler: "leaderboard", Topic: "answer-added"}: 2,
		}, counts)
	})
}

func TestStore_NewestFirst(t *testing.T) {
	onEach(t, func(t *testing.T, driver string) {
		s := newStore(t, driver)
		byAge := make([]string, 5)
		for _, i := range []int{3, 0, 4, 1, 2} {
			l := letter(identity(fmt.Sprint(i)), func(l *deadletter.Letter) { l.LastFailedAt = someTime.Add(-time.Duration(i) * time.Minute) })
			require.NoError(t, s.Save(t.Context(), l))
			byAge[i] = l.ID
		}
		for _, limit := range []int{0, 1, 3, 5, 100} {
			ids, err := s.Newest(t.Context(), limit)
			require.NoError(t, err)
			require.Equal(t, byAge[:min(limit, 5)], append([]string{}, ids...))
		}
	})
}

// Many letters at once, each of them twice, as when two workers share a file.
func TestStore_ConcurrentSaves(t *testing.T) {
	onEach(t, func(t *testing.T, driver string) {
		const letters, writers = 200, 8
		s := newStore(t, driver)
		var wg sync.WaitGroup
		errs := make(chan error, writers*letters)
		for w := range writers {
			wg.Go(func() {
				for i := range letters {
					errs <- s.Save(t.Context(), letter(identity(fmt.Sprint((i*7+w*31)%letters))))
				}
			})
		}
		wg.Wait()
		close(errs)
		for err := range errs {
			require.NoError(t, err)
		}
		counts, err := s.Counts(t.Context())
		require.NoError(t, err)
		require.Equal(t, map[deadletter.Queue]int64{{Handler: "feed", Topic: "answer-added"}: letters}, counts)
		ids, err := s.Newest(t.Context(), 10*letters)
		require.NoError(t, err)
		require.Len(t, ids, letters)
	})
}

func TestStore_Closed(t *testing.T) {
	onEach(t, func(t *testing.T, driver string) {
		s := newStore(t, driver)
		s.Close()
		require.ErrorIs(t, s.Save(t.Context(), letter()), database.ErrClosed)
	})
}
