package suspect_test

import (
	"fmt"
	"math"
	"math/bits"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/answerfeed/answerfeed/internal/suspect"
)

func first(int) int { return 0 }

func member(identity string) suspect.Member { return suspect.NewMember(identity, 0, 0) }

func members(n int) (all []suspect.Member) {
	for i := range n {
		all = append(all, member(fmt.Sprint("m", i)))
	}
	return all
}

// A hash is stored, and workers of several versions share the rows.
func TestHash_StaysTheSame(t *testing.T) {
	require.Equal(t, uint32(0x811c9dc5), suspect.Hash(""))
	require.Equal(t, uint32(0xbf9cf968), suspect.Hash("foobar"))
}

// The halves of a range are the range, without anything twice.
func TestHalve_LosesNoMember(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		n := rapid.IntRange(1, 50).Draw(t, "members")
		all := make([]suspect.Member, n)
		for i := range all {
			all[i] = suspect.Member{Hash: rapid.Uint32().Draw(t, "hash"), Identity: fmt.Sprint(i)}
		}
		g := suspect.Around("q", all)
		g.Suspect = rapid.Bool().Draw(t, "suspect")
		halves := suspect.Halve([]suspect.Group{g}, true)
		counts := make([]int, len(halves))
		for _, m := range all {
			in := 0
			for i, h := range halves {
				require.True(t, h.Suspect)
				require.Equal(t, "q", h.Queue)
				if h.Holds(m.Hash) {
					in++
					counts[i]++
				}
			}
			require.Equal(t, 1, in, "halves that hold %d", m.Hash)
		}
		distinct := map[uint32]int{}
		for _, m := range all {
			distinct[m.Hash]++
		}
		require.Len(t, halves, min(2, len(distinct)))
		if len(distinct) == n && n > 1 {
			require.LessOrEqual(t, slices.Max(counts), (n+1)/2, "half of the members")
		}
	})
}

func TestHalve_CountsADeathOnlyAlone(t *testing.T) {
	g := suspect.Around("q", []suspect.Member{member("a")})
	g.Suspect, g.Identity, g.Deaths = true, "a", 2
	require.Equal(t, 3, suspect.Halve([]suspect.Group{g}, true)[0].Deaths)
	require.Equal(t, 2, suspect.Halve([]suspect.Group{g}, false)[0].Deaths)
	fresh := suspect.Around("q", []suspect.Member{member("a")})
	halves := suspect.Halve([]suspect.Group{fresh}, true)
	require.Len(t, halves, 1)
	require.Zero(t, halves[0].Deaths, "it came back, and was not alone")
}

func TestHalve_OfManyGroupsInCompanyIsTwoRanges(t *testing.T) {
	var groups []suspect.Group
	for i := range 100 {
		groups = append(groups, suspect.Around("q", []suspect.Member{member(fmt.Sprint("a", i)), member(fmt.Sprint("b", i))}))
	}
	require.Len(t, suspect.Halve(groups, false), 2)
}

func TestMake(t *testing.T) {
	everywhere := suspect.Range{Hi: math.MaxUint32}
	company := suspect.Group{ID: "company", Range: everywhere}
	pending := suspect.Group{ID: "pending", Range: everywhere, Suspect: true}
	single := suspect.Group{ID: "single", Range: suspect.Range{Lo: suspect.Hash("m0"), Hi: suspect.Hash("m0")}, Suspect: true}
	with := func(g suspect.Group, change func(*suspect.Group)) suspect.Group { change(&g); return g }
	of := func(o suspect.Owner, proof int64) func(*suspect.Group) {
		return func(g *suspect.Group) { g.Owner, g.Proof = o, proof }
	}
	guilty := with(single, func(g *suspect.Group) { g.Identity, g.Deaths = "m0", 5 })
	tests := map[string]struct {
		groups []suspect.Group
		busy   bool
		change func(*suspect.Member)
		want   suspect.Plan // without the range
		next   string       // the range
	}{
		"nothing stands":                         {nil, false, nil, suspect.Plan{Free: []int{0, 1, 2}}, ""},
		"busy":                                   {nil, true, nil, suspect.Plan{Free: []int{0, 1, 2}}, ""},
		"one's own, in company":                  {[]suspect.Group{with(company, of(suspect.Mine, 0))}, false, nil, suspect.Plan{Free: []int{0, 1, 2}}, ""},
		"another's, of which nothing is known":   {[]suspect.Group{with(company, of(suspect.Other, 0))}, false, nil, suspect.Plan{}, ""},
		"another's, seen before it came":         {[]suspect.Group{with(company, of(suspect.Other, 7))}, false, since(7), suspect.Plan{}, ""},
		"another's, seen since it came":          {[]suspect.Group{with(company, of(suspect.Other, 8))}, false, since(7), suspect.Plan{Free: []int{0, 1, 2}}, ""},
		"another's, and waited for long":         {[]suspect.Group{with(company, of(suspect.Other, 0))}, false, bold, suspect.Plan{Free: []int{0, 1, 2}}, ""},
		"a range waits":                          {[]suspect.Group{pending}, false, nil, suspect.Plan{Members: []int{0, 1, 2}}, "pending"},
		"a range waits, and another is handled":  {[]suspect.Group{pending}, true, nil, suspect.Plan{}, ""},
		"a range of another":                     {[]suspect.Group{with(pending, of(suspect.Other, 9))}, false, bold, suspect.Plan{}, ""},
		"the narrowest":                          {[]suspect.Group{pending, single}, false, nil, suspect.Plan{Members: []int{1, 2}}, "pending"},
		"one alone":                              {[]suspect.Group{single}, false, nil, suspect.Plan{Free: []int{1, 2}, Members: []int{0}, Alone: true}, "single"},
		"one alone, and another is handled":      {[]suspect.Group{single}, true, nil, suspect.Plan{Free: []int{1, 2}}, ""},
		"another identity of the same hash":      {[]suspect.Group{with(single, func(g *suspect.Group) { g.Identity = "other" })}, false, nil, suspect.Plan{Free: []int{0, 1, 2}}, ""},
		"the fewest deaths first":                {[]suspect.Group{with(single, func(g *suspect.Group) { g.Deaths, g.Identity = 1, "m0" }), pending}, false, nil, suspect.Plan{Members: []int{1, 2}}, "pending"},
		"guilty":                                 {[]suspect.Group{guilty}, false, nil, suspect.Plan{Guilty: []int{0}, Free: []int{1, 2}}, ""},
		"guilty, sent back by a person":          {[]suspect.Group{guilty}, false, func(m *suspect.Member) { m.Requeues = 1 }, suspect.Plan{Free: []int{1, 2}, Members: []int{0}, Alone: true}, "single"},
		"guilty, while another range is handled": {[]suspect.Group{guilty}, true, nil, suspect.Plan{Guilty: []int{0}, Free: []int{1, 2}}, ""},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			all := members(3)
			for i := range all {
				if test.change != nil {
					test.change(&all[i])
				}
			}
			plan := suspect.Make(test.groups, all, test.busy, first)
			if test.next == "" {
				require.Nil(t, plan.Range)
			} else {
				require.NotNil(t, plan.Range)
				require.Equal(t, test.next, plan.Range.ID)
				require.Zero(t, plan.Range.Deaths)
				for _, i := range plan.Members {
					require.True(t, plan.Range.Holds(all[i].Hash))
				}
			}
			plan.Range = nil
			require.Equal(t, test.want, plan)
		})
	}
}

func since(look int64) func(*suspect.Member) { return func(m *suspect.Member) { m.Since = look } }
func bold(m *suspect.Member)                 { m.Bold = true }

// world is a queue whose messages come back to some processes, each of which
// dies of what is deadly, and of other things.
type world struct {
	*rapid.T
	groups  []suspect.Group
	waiting []suspect.Member
	deadly  map[string]bool
	letters []string
	deaths  int
}

// step lets one process plan for its share of what waits, and handle what the
// plan allows until it dies or is done. killed tells that it is killed while it
// handles all that it has begun.
func (w *world) step(share []int, killed bool) {
	all := make([]suspect.Member, 0, len(share))
	for _, i := range share {
		all = append(all, w.waiting[i])
	}
	plan := suspect.Make(w.groups, all, false, func(n int) int { return rapid.IntRange(0, n-1).Draw(w.T, "range") })
	done := map[string]bool{}
	for _, i := range plan.Guilty {
		w.letters = append(w.letters, all[i].Identity)
		done[all[i].Identity] = true
	}
	var stand []suspect.Group
	died := killed
	handle := func(g suspect.Group, which []int) {
		stand = append(stand, g)
		for _, i := range which {
			died = died || w.deadly[all[i].Identity]
		}
	}
	if plan.Range != nil {
		w.groups = slices.DeleteFunc(w.groups, func(g suspect.Group) bool { return g.ID == plan.Range.ID })
		handle(*plan.Range, plan.Members)
	}
	if len(plan.Free) > 0 && !plan.Alone {
		free := make([]suspect.Member, 0, len(plan.Free))
		for _, i := range plan.Free {
			free = append(free, all[i])
		}
		handle(suspect.Around("q", free), plan.Free)
	}
	if died && len(stand) > 0 {
		w.deaths++
		for _, g := range suspect.Halve(stand, len(stand) == 1) {
			g.ID = fmt.Sprint(rand.Uint64())
			w.groups = append(w.groups, g)
		}
	} else if !died {
		for _, i := range plan.Members {
			done[all[i].Identity] = true
		}
		for _, i := range plan.Free {
			done[all[i].Identity] = done[all[i].Identity] || !plan.Alone
		}
	}
	w.waiting = slices.DeleteFunc(w.waiting, func(m suspect.Member) bool { return done[m.Identity] })
}

// Of any number of messages those that are deadly become letters, no other
// does, and it takes about as many deaths as there are halvings.
func TestMake_FindsTheGuiltyAndNobodyElse(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		n := rapid.IntRange(1, 400).Draw(t, "members")
		w := &world{T: t, deadly: map[string]bool{}}
		w.waiting = members(n)
		killers := rapid.IntRange(0, min(n, 4)).Draw(t, "killers")
		for len(w.deadly) < killers {
			w.deadly[w.waiting[rapid.IntRange(0, n-1).Draw(t, "killer")].Identity] = true
		}
		processes := rapid.IntRange(1, 3).Draw(t, "processes")
		for steps := 0; len(w.waiting) > 0; steps++ {
			require.Less(t, steps, 5000, "it comes to an end")
			var share []int
			for i := range w.waiting {
				if rapid.IntRange(1, processes).Draw(t, "process") == 1 {
					share = append(share, i)
				}
			}
			w.step(share, false)
		}
		var guilty []string
		for identity := range w.deadly {
			guilty = append(guilty, identity)
		}
		require.ElementsMatch(t, guilty, w.letters)
		require.LessOrEqual(t, w.deaths, killers*(bits.Len(uint(n))+suspect.MaxDeaths+2), "deaths")
	})
}

// A process that is killed again and again by somebody else accuses nobody.
func TestMake_AccusesNobodyOfKills(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		w := &world{T: t}
		w.waiting = members(rapid.IntRange(20, 1000).Draw(t, "members"))
		for range 20 {
			all := make([]int, len(w.waiting))
			for i := range all {
				all[i] = i
			}
			w.step(all, true)
		}
		require.Empty(t, w.letters)
		for len(w.waiting) > 0 {
			all := make([]int, len(w.waiting))
			for i := range all {
				all[i] = i
			}
			w.step(all, false)
		}
		require.Empty(t, w.letters)
	})
}
