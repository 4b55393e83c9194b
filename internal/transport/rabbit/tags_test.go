package rabbit

import (
	"maps"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

// channel is what the broker knows of a channel's tags: whatever it would
// close the channel for, fails.
type channel struct {
	*rapid.T
	open map[uint64]time.Time // not settled; when it was finished
}

func (c *channel) ack(tag uint64, multiple bool) {
	require.Contains(c, c.open, tag, "a tag is settled once")
	for n, finished := range c.open {
		if n == tag || (multiple && n < tag) {
			require.False(c, finished.IsZero(), "what is acknowledged was handled")
			delete(c.open, n)
		}
	}
}

func (c *channel) choose(handled bool) (tag uint64, ok bool) {
	var some []uint64
	for n, finished := range c.open {
		if finished.IsZero() != handled {
			some = append(some, n)
		}
	}
	slices.Sort(some)
	if len(some) == 0 {
		return 0, false
	}
	return rapid.SampledFrom(some).Draw(c.T, "tag"), true
}

func TestTags_AreSettledOnceAndAsSoonAsPossible(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		c := &channel{t, map[uint64]time.Time{}}
		var s tags
		last, now := rapid.Uint64Range(0, 1<<40).Draw(t, "first"), time.Now()
		for range rapid.IntRange(1, 200).Draw(t, "steps") {
			now = now.Add(time.Millisecond)
			switch rapid.IntRange(0, 5).Draw(t, "step") {
			case 0, 1:
				for range rapid.IntRange(1, 5).Draw(t, "deliveries") {
					last++
					c.open[last] = time.Time{}
					s.deliver(last)
				}
			case 2:
				if tag, ok := c.choose(false); ok {
					c.open[tag] = now
					s.finish(tag, now)
				}
			case 3: // a nack
				if tag, ok := c.choose(false); ok {
					delete(c.open, tag)
					s.settle(tag)
				}
			case 4:
				if tag := s.prefix(); tag > 0 {
					c.ack(tag, true)
					s.settleUpTo(tag)
				}
				if len(c.open) > 0 {
					first := slices.Min(slices.Collect(maps.Keys(c.open)))
					require.Zero(t, c.open[first], "the prefix is acknowledged")
				}
			case 5:
				before := now.Add(-time.Duration(rapid.IntRange(0, 5).Draw(t, "wait")) * time.Millisecond)
				singles, next := s.beyond(before)
				for _, tag := range singles {
					c.ack(tag, false)
					s.settle(tag)
				}
				var earliest time.Time
				for _, finished := range c.open {
					if !finished.IsZero() && (earliest.IsZero() || finished.Before(earliest)) {
						earliest = finished
					}
				}
				require.Equal(t, earliest, next)
				require.True(t, next.IsZero() || next.After(before), "what waited long enough is acknowledged")
			}
			require.LessOrEqual(t, len(s.open), 2*len(c.open)+1, "it holds no more than what is open")
		}
	})
}

// One slow message holds up neither the others nor the memory.
func TestTags_BehindASlowMessage(t *testing.T) {
	var s tags
	s.deliver(1)
	now := time.Now()
	for n := uint64(2); n < 100_000; n++ {
		s.deliver(n)
		s.finish(n, now)
		require.Zero(t, s.prefix())
		singles, _ := s.beyond(now)
		require.Equal(t, []uint64{n}, singles)
		s.settle(n)
		require.LessOrEqual(t, len(s.open), 2)
	}
	s.finish(1, now)
	require.Equal(t, uint64(1), s.prefix())
	s.settleUpTo(1)
	require.Empty(t, s.open)
}

func TestTags_TakenOff(t *testing.T) {
	var s tags
	for n := uint64(5); n < 10; n++ {
		s.deliver(n)
	}
	s.settleUpTo(8)
	require.Zero(t, s.prefix())
	s.finish(9, time.Now())
	require.Equal(t, uint64(9), s.prefix())
	s.settleUpTo(9)
	require.Empty(t, s.open)
}
