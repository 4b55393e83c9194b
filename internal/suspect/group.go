package suspect

import (
	"hash/fnv"
	"slices"
)

// MaxDeaths of the process while a message was handled alone make a letter.
const MaxDeaths = 5

// Range is a range of hashes, both ends included.
type Range struct{ Lo, Hi uint32 }

// Holds reports that a hash lies in the range.
func (r Range) Holds(hash uint32) bool { return r.Lo <= hash && hash <= r.Hi }

// Single reports a range of one hash.
func (r Range) Single() bool { return r.Lo == r.Hi }

func (r Range) width() uint32 { return r.Hi - r.Lo }

// Hash places an identity. It is stored in ranges, so it must stay the same.
func Hash(identity string) uint32 {
	h := fnv.New32a()
	_, _ = h.Write([]byte(identity)) // never fails
	return h.Sum32()
}

// Member is a message that came back.
type Member struct {
	Hash     uint32
	Identity string
	Requeues int
	// Since is the look at the list of workers before it came back; see Group.
	Since int64
	// Bold members do not wait any longer for news of a group's process.
	Bold bool
}

// NewMember returns the member for a message.
func NewMember(identity string, requeues int, since int64) Member {
	return Member{Hash: Hash(identity), Identity: identity, Requeues: requeues, Since: since}
}

// Owner is who handles a group.
type Owner int

// The owners.
const (
	Nobody Owner = iota // it waits
	Mine
	Other
)

// Group is a row.
type Group struct {
	ID, Queue string
	Range
	// Mid is the last hash of the lower half.
	Mid   uint32
	Owner Owner
	// Proof is the look at the list of workers that proves that the owner
	// lives: for members that came back before it.
	Proof int64
	// Suspect: a process died of this range.
	Suspect bool
	// Identity and Requeues are of a message that is, or was, handled alone,
	// and Deaths how often the process died of that.
	Identity         string
	Requeues, Deaths int
}

// covers reports that the row is about the member.
func (g *Group) covers(m *Member) bool {
	return g.Holds(m.Hash) && (g.Identity == "" || g.Identity == m.Identity)
}

// about reports that the row's deaths are the member's.
func (g *Group) about(m *Member) bool { return g.Identity == m.Identity && g.Requeues == m.Requeues }

// around makes the group as wide as its members, to be halved between them.
func (g *Group) around(members []Member) {
	hashes := make([]uint32, len(members))
	for i, m := range members {
		hashes[i] = m.Hash
	}
	slices.Sort(hashes)
	hashes = slices.Compact(hashes)
	g.Lo, g.Hi, g.Mid = hashes[0], hashes[len(hashes)-1], hashes[(len(hashes)-1)/2]
}

// Halve returns what waits after the death of the process that handled these
// groups of one queue. alone tells that it handled nothing else.
func Halve(groups []Group, alone bool) (halves []Group) {
	var company []Group
	for _, g := range groups {
		switch {
		case !g.Suspect:
			company = append(company, g)
		case g.Identity != "":
			if alone {
				g.Deaths++
			}
			halves = append(halves, g.pending(g.Range))
		default:
			halves = append(halves, g.split()...)
		}
	}
	if len(company) == 0 {
		return halves
	}
	// Groups of what merely came back, of which any may have been it.
	whole := company[0]
	var mids []uint32
	for _, g := range company {
		whole.Lo, whole.Hi = min(whole.Lo, g.Lo), max(whole.Hi, g.Hi)
		mids = append(mids, g.Mid)
	}
	slices.Sort(mids)
	whole.Mid = mids[len(mids)/2]
	return append(halves, whole.split()...)
}

// split returns the halves of a range; one, if it cannot be halved.
func (g Group) split() []Group {
	if g.Single() {
		return []Group{g.pending(g.Range)}
	}
	mid := min(max(g.Mid, g.Lo), g.Hi-1)
	return []Group{g.pending(Range{g.Lo, mid}), g.pending(Range{mid + 1, g.Hi})}
}

func (g Group) pending(r Range) Group {
	return Group{
		Queue: g.Queue, Range: r, Mid: r.Lo + r.width()/2, Suspect: true,
		Identity: g.Identity, Requeues: g.Requeues, Deaths: g.Deaths,
	}
}
