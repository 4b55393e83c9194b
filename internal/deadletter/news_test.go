package deadletter_test

import (
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/answerfeed/answerfeed/internal/deadletter"
)

func TestNews_OnceForEachProblem(t *testing.T) {
	onEach(t, func(t *testing.T, driver string) {
		r := newRig(t, driver)
		ctx := t.Context()
		problem := func(id, text, topic string) *deadletter.Letter {
			return letter(identity(id), func(l *deadletter.Letter) { l.Error, l.Topic = text, topic })
		}
		news, err := r.store.News(ctx)
		require.NoError(t, err)
		require.Empty(t, news)
		r.save(t, problem("1", "one", "answer-added"), problem("2", "one", "question-viewed"), problem("3", "one", "answer-added"), problem("4", "two", "answer-added"))
		news, err = r.store.News(ctx)
		require.NoError(t, err)
		require.Len(t, news, 2, "topics do not make it another problem")
		require.Equal(t, []int{3, 1}, []int{news[0].Letters, news[1].Letters})
		require.Equal(t, someTime.Add(time.Minute), news[0].LastFailedAt)
		require.NoError(t, r.store.Told(ctx, someTime, news[:1], nil))
		r.save(t, problem("5", "one", "answer-removed"))
		news, err = r.store.News(ctx)
		require.NoError(t, err)
		require.Len(t, news, 1)
		require.Equal(t, "two", news[0].Error)
		_, err = r.desk.Discard(ctx, deadletter.Selection{}, deadletter.Options{})
		require.NoError(t, err)
		news, err = r.store.News(ctx)
		require.NoError(t, err)
		require.Empty(t, news, "somebody saw it")
	})
}

func TestSpikes(t *testing.T) {
	onEach(t, func(t *testing.T, driver string) {
		r := newRig(t, driver)
		for i := range 10 {
			r.save(t, letter(identity(fmt.Sprint(i)), func(l *deadletter.Letter) { l.LastFailedAt = someTime.Add(time.Duration(i) * time.Minute) }))
		}
		for _, test := range []struct {
			threshold    int
			since, quiet time.Duration
			want         int
		}{
			{5, 5 * time.Minute, 0, 5}, {6, 5 * time.Minute, 0, 0}, {2, 8 * time.Minute, 0, 2}, {10, 0, 0, 10}, {11, 0, 0, 0}, {1, 10 * time.Minute, 0, 0},
		} {
			spikes, err := r.store.Spikes(t.Context(), test.threshold, someTime.Add(test.since), someTime)
			require.NoError(t, err)
			got := 0
			for _, s := range spikes {
				got += s.Letters
			}
			require.Equal(t, test.want, got, "%+v", test)
		}
		spikes, err := r.store.Spikes(t.Context(), 1, someTime, someTime)
		require.NoError(t, err)
		require.NoError(t, r.store.Told(t.Context(), someTime, nil, spikes))
		again, err := r.store.Spikes(t.Context(), 1, someTime, someTime)
		require.NoError(t, err)
		require.Empty(t, again)
		later, err := r.store.Spikes(t.Context(), 1, someTime, someTime.Add(time.Hour))
		require.NoError(t, err)
		require.Equal(t, spikes, later)
	})
}

func TestLead_OneOfMany(t *testing.T) {
	onEach(t, func(t *testing.T, driver string) {
		s := newStore(t, driver)
		var leaders atomic.Int32
		var wg sync.WaitGroup
		for i := range 8 {
			wg.Go(func() {
				leads, err := s.Lead(t.Context(), fmt.Sprint("worker ", i), someTime, someTime.Add(time.Minute))
				if err == nil && leads {
					leaders.Add(1)
				}
			})
		}
		wg.Wait()
		require.EqualValues(t, 1, leaders.Load())
		leads, err := s.Lead(t.Context(), "another", someTime.Add(2*time.Minute), someTime.Add(3*time.Minute))
		require.NoError(t, err)
		require.True(t, leads, "the one before is gone")
		for range 2 {
			leads, err = s.Lead(t.Context(), "another", someTime, someTime.Add(4*time.Minute))
			require.NoError(t, err)
			require.True(t, leads, "it goes on")
		}
	})
}
