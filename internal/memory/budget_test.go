package memory_test

import (
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/answerfeed/answerfeed/internal/memory"
)

func TestBudget_OneThatIsSlowLeavesRoomForTheOthers(t *testing.T) {
	b := memory.NewBudget(1000)
	slow, other := b.Holder(), b.Holder()
	require.Equal(t, int64(750), slow.Reserve(10_000, 1), "an even part, and the half for whoever comes first")
	require.Zero(t, slow.Reserve(1, 1))
	require.Equal(t, int64(250), other.Reserve(10_000, 1))
	freed := other.Freed()
	require.Zero(t, other.Reserve(1, 1))
	slow.Give(100)
	<-freed
	require.Equal(t, int64(100), other.Reserve(10_000, 1))
}

func TestBudget_ASingleMessageIsAlwaysPossible(t *testing.T) {
	b := memory.NewBudget(1000)
	one, two := b.Holder(), b.Holder()
	require.Equal(t, int64(5000), one.Reserve(5000, 5000))
	freed := two.Freed()
	require.Zero(t, two.Reserve(5000, 5000), "one holder at a time")
	require.Equal(t, int64(250), two.Reserve(250, 1), "and the even part stays")
	two.Give(250)
	<-freed
	one.Give(5000)
	require.Equal(t, int64(5000), two.Reserve(5000, 5000))
	two.Close()
	require.Equal(t, int64(1000), one.Reserve(2000, 1), "all of it, alone")
}

// Whatever is reserved and given back, all together stay within the limit, but
// for one message that fits nowhere; and whoever has nothing gets something
// once that one is gone.
func TestBudget_Bounded(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		const limit, largest = 10_000, 20_000
		b := memory.NewBudget(limit)
		holders := make([]*memory.Holder, rapid.IntRange(1, 6).Draw(t, "holders"))
		held := make([][]int64, len(holders))
		for i := range holders {
			holders[i] = b.Holder()
		}
		total := int64(0)
		for range rapid.IntRange(1, 100).Draw(t, "steps") {
			i := rapid.IntRange(0, len(holders)-1).Draw(t, "holder")
			if n := len(held[i]); n > 0 && rapid.Bool().Draw(t, "give") {
				holders[i].Give(held[i][n-1])
				total -= held[i][n-1]
				held[i] = held[i][:n-1]
				continue
			}
			least := rapid.Int64Range(1, largest).Draw(t, "least")
			want := least + rapid.Int64Range(0, largest).Draw(t, "more")
			if got := holders[i].Reserve(want, least); got > 0 {
				require.GreaterOrEqual(t, got, least)
				require.LessOrEqual(t, got, want)
				held[i] = append(held[i], got)
				total += got
			}
			require.LessOrEqual(t, total, int64(limit+largest))
		}
		for i := range held {
			for _, bytes := range held[i] {
				holders[i].Give(bytes)
			}
		}
		for _, h := range holders {
			require.Equal(t, int64(largest), h.Reserve(largest, largest), "nothing is left behind")
			h.Give(largest)
		}
	})
}
