package verify

import (
	"math/rand/v2"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/answerfeed/answerfeed/app/event"
	"github.com/answerfeed/answerfeed/internal/crashpoint"
)

func TestPlan_HasEachFaultAndFollowsFromTheSeed(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		n := rapid.IntRange(0, 20)
		o := Options{Times: map[Fault]int{}, Seed: rapid.Uint64().Draw(t, "seed")}
		for _, f := range Faults() {
			o.Times[f] = n.Draw(t, string(f))
		}
		random := func() *rand.Rand { return rand.New(rand.NewPCG(o.Seed, 2)) }
		steps := plan(o, random())
		require.Equal(t, steps, plan(o, random()), "the same each time")

		count, points := map[Fault]int{}, map[crashpoint.Point]int{}
		for _, s := range steps {
			count[s.fault]++
			if s.fault == TableRename {
				require.Contains(t, renamed(), s.table)
			}
			if s.fault == CrashPoint {
				points[s.point]++
				require.Positive(t, s.passes)
			}
			require.Less(t, s.worker, workers)
			require.Less(t, s.after, maxAfter)
		}
		during := len(crashpoint.Points()) - 1 // one comes in the end
		for f, want := range o.Times {
			if f == CrashPoint {
				want *= during
			}
			require.Equal(t, want, count[f], f)
		}
		for point, n := range points {
			require.Equal(t, o.Times[CrashPoint], n, point)
		}
	})
}

func TestLedger_EventsAreWhatTheirIDsSay(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		l := &ledger{random: rand.New(rand.NewPCG(rapid.Uint64().Draw(t, "seed"), 1))}
		for range rapid.IntRange(1, 5).Draw(t, "parts") {
			items := l.next(rapid.IntRange(0, 500).Draw(t, "events"), rapid.Bool().Draw(t, "evenly"))
			for _, i := range items {
				require.Equal(t, i.kind, l.kinds[i.number])
				back, ok := parse(event.Identity(i.payload(), ""))
				require.True(t, ok)
				require.Equal(t, i, back)
			}
			for _, i := range l.again(len(items)) {
				require.Less(t, i.number, l.confirmed, "only what is confirmed is published again")
				require.Equal(t, l.kinds[i.number], i.kind)
			}
			l.confirmed = len(l.kinds)
		}
	})
}
