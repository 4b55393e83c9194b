package bench

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/answerfeed/answerfeed/app/event"
	"github.com/answerfeed/answerfeed/config"
)

func TestSource_EventsAreOfTheSizeAndKnowTheirNumber(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		size := rapid.IntRange(minPayload, 5000).Draw(t, "size")
		percent := rapid.IntRange(0, 100).Draw(t, "percent")
		s, err := newSource(size, percent)
		require.NoError(t, err)
		poisoned := 0
		n := rapid.IntRange(1, 300).Draw(t, "n")
		for i := range n {
			m, err := s.message(i)
			require.NoError(t, err)
			e, err := event.DecodeAnswerAdded(m.Payload)
			if s.poisoned(i) {
				poisoned++
				require.Error(t, err)
				got, ok := poisonIndex(m.Payload)
				require.True(t, ok)
				require.Equal(t, i, got)
				continue
			}
			require.NoError(t, err)
			require.Len(t, m.Payload, size)
			got, ok := index(e.AnswerID)
			require.True(t, ok)
			require.Equal(t, i, got)
		}
		require.Equal(t, n*percent/100, poisoned, "the share")
	})
}

func TestSource_LargestEvent(t *testing.T) {
	s, err := newSource(event.MaxPayload, 0)
	require.NoError(t, err)
	m, err := s.message(maxMessages * 2)
	require.NoError(t, err)
	require.Len(t, m.Payload, event.MaxPayload)
	_, err = event.DecodeAnswerAdded(m.Payload)
	require.NoError(t, err)
}

func TestIndex_OfWhatIsNotOurs(t *testing.T) {
	for _, id := range []string{"", "a", "b000000001", "a-1", "a1.5", "ax"} {
		_, ok := index(id)
		require.False(t, ok, id)
	}
	for _, payload := range []string{"", "{}", `{"answer_id":"a1"}`, `{"answer_id":"x0000000001"}`} {
		_, ok := poisonIndex([]byte(payload))
		require.False(t, ok, payload)
	}
}

func TestLedger_CountsFirstTimesAlone(t *testing.T) {
	l := newLedger(step{handlers: 2, messages: 3}, 1)
	reached := l.goal(4)
	for range 3 {
		l.settle(1, 0, true)
		l.settle(2, 0, true)
	}
	l.settle(1, 2, false)
	l.settle(1, 3, true) // there is no such event
	require.Empty(t, reached)
	l.settle(2, 1, true)
	require.WithinDuration(t, time.Now(), <-reached, time.Minute)
	require.EqualValues(t, 4, l.settled.Load())
	require.WithinDuration(t, time.Now(), <-l.goal(2), time.Minute, "a goal that lies behind")
}

func TestLedger_Percentiles(t *testing.T) {
	l := newLedger(step{handlers: 1, steady: 100}, 1)
	for i := range 100 {
		l.lags[99-i].Store(uint32(i+1) * 1000)
	}
	// The first tenth is warming up: here the longest.
	require.Equal(t, Latency{P50: 45, P95: 86, P99: 90, Max: 90}, l.latency())
	require.Equal(t, Latency{}, newLedger(step{handlers: 1, messages: 5}, 1).latency())
}

func TestLedger_LagCountsFromWhenAnEventWasDue(t *testing.T) {
	l := newLedger(step{handlers: 1, steady: 2}, 10)
	l.began.Store(time.Now().Add(-time.Second).UnixNano())
	l.settle(1, 0, true)
	l.settle(1, 1, true)
	require.GreaterOrEqual(t, l.lags[0].Load(), uint32(1_000_000))
	require.InDelta(t, l.lags[0].Load()-100_000, l.lags[1].Load(), 50_000, "it was due a tenth of a second later")
}

func TestSettings_Steps(t *testing.T) {
	backlog := Settings{Scenario: Backlog, Messages: 20_000}
	require.NoError(t, backlog.complete())
	var waiting []int
	for _, s := range backlog.steps() {
		waiting = append(waiting, s.bulk())
	}
	require.Equal(t, []int{10_000, 100_000, 1_000_000}, waiting)
	for _, name := range Scenarios() {
		s := Settings{Scenario: name}
		require.NoError(t, s.complete())
		steps := s.steps()
		require.NotEmpty(t, steps)
		require.LessOrEqual(t, len(steps), maxSteps, "or Clean finds not all")
		for _, step := range steps {
			require.LessOrEqual(t, step.handlers, maxHandlers, "or Clean finds not all")
			require.Positive(t, step.total())
		}
	}
	require.Equal(t, "1,000,000", number(1_000_000))
	require.Equal(t, "999", number(999))
}

func TestPlace_NamesFitTheTransport(t *testing.T) {
	for name, prefix := range map[string]string{"none": "", "short": "site-", "the longest": "abcdefghijklmnopqrstuvwxyz_123456"[:32]} {
		t.Run(name, func(t *testing.T) {
			p := place{run: newRun(config.Config{Transport: config.Transport{Prefix: prefix}}, nil), step: maxSteps}
			require.LessOrEqual(t, len(p.prefix()), maxPrefix)
			require.NoError(t, ValidateID(p.id))
			require.Contains(t, p.prefix(), p.id)
			require.Equal(t, prefix[:min(len(prefix), 10)], p.prefix()[:min(len(prefix), 10)], "it begins as the user's")
			require.True(t, event.ValidName(p.handler(maxHandlers)))
			require.LessOrEqual(t, len(p.table(tableQuestions, maxHandlers)), 63, "what PostgreSQL keeps of a name")
		})
	}
}
