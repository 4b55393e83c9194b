package suspect

// Plan says what becomes of the members that wait in one process. Those that
// are not mentioned wait on.
type Plan struct {
	// Guilty are dead letters.
	Guilty []int
	// Free may be handled in one group, in parallel.
	Free []int
	// Range is the suspected range that comes next in this process, nil for
	// none; Members are those to be handled in it. One of them is alone if
	// Alone says so.
	Range   *Group
	Members []int
	Alone   bool
}

// Make plans for the members. busy tells that the process handles a suspected
// range of this queue, or is about to. choose(n) is a random number below n:
// the order of suspected ranges is left to chance, so that a process that dies
// of something else does not accuse the same message each time. Those with the
// fewest deaths come first.
func Make(groups []Group, members []Member, busy bool, choose func(n int) int) Plan {
	var p Plan
	in := map[int][]int{} // the members of each group that waits
	for i := range members {
		m := &members[i]
		at, free := place(groups, m)
		switch {
		case free:
			p.Free = append(p.Free, i)
		case at < 0:
		case groups[at].about(m) && groups[at].Deaths >= MaxDeaths:
			p.Guilty = append(p.Guilty, i)
		default:
			in[at] = append(in[at], i)
		}
	}
	if busy || len(in) == 0 {
		return p
	}
	var next []int
	for at := range groups {
		if len(in[at]) == 0 {
			continue
		}
		if len(next) > 0 && groups[at].Deaths < groups[next[0]].Deaths {
			next = next[:0]
		}
		if len(next) == 0 || groups[at].Deaths == groups[next[0]].Deaths {
			next = append(next, at)
		}
	}
	at := next[choose(len(next))]
	g := groups[at]
	p.Members = in[at]
	if p.Alone = g.Single(); p.Alone {
		p.Members = p.Members[:1]
		m := &members[p.Members[0]]
		if !g.about(m) {
			g.Identity, g.Requeues, g.Deaths = m.Identity, m.Requeues, 0
		}
	}
	g.around(pick(members, p.Members))
	p.Range = &g
	return p
}

// Around returns a group of what merely came back.
func Around(queue string, members []Member) Group {
	g := Group{Queue: queue}
	g.around(members)
	return g
}

// place finds the narrowest suspected range that holds the member; at is its
// number if it waits, else -1: then the member waits for the one that handles
// it, or for news of a process that may have died. free tells that there is no
// reason to wait.
func place(groups []Group, m *Member) (at int, free bool) {
	at, free = -1, true
	narrowest := -1
	for i := range groups {
		g := &groups[i]
		switch {
		case !g.covers(m):
		case !g.Suspect:
			if g.Owner == Other && g.Proof <= m.Since && !m.Bold {
				free = false
			}
		case narrowest < 0 || g.width() < groups[narrowest].width(), g.Single() && g.Identity != "":
			narrowest = i
		}
	}
	if narrowest < 0 {
		return -1, free
	}
	if groups[narrowest].Owner == Nobody {
		at = narrowest
	}
	return at, false
}

func pick(members []Member, which []int) []Member {
	picked := make([]Member, 0, len(which))
	for _, i := range which {
		picked = append(picked, members[i])
	}
	return picked
}
