package relay

import "time"

const (
	// scanBehind is how far the mark lies behind: twice that at most.
	scanBehind = 500 * time.Millisecond
	// scanAll is how often everything is looked through, and scanShare how
	// much longer the pause is than the search took.
	scanAll   = time.Second
	scanShare = 10
)

// scan says from where on to look for fresh rows. On PostgreSQL a row that was
// deleted, or claimed, is still passed over by every search while somebody
// holds an old snapshot: a search from the beginning would become slower with
// each event. So most begin at a mark, which is the highest id that was seen
// half a second to a second ago: whoever commits within that time is found at
// once. Who takes longer, and what other relays left behind, is found by a
// search through everything, once in a while.
type scan struct {
	mark, earlier, top int64
	turn               time.Time // when the mark moves
	fullAt             time.Time // when everything is looked through again
}

// above is the id above which to look.
func (s *scan) above(now time.Time) int64 {
	if now.Before(s.fullAt) {
		return s.mark
	}
	return 0
}

// rewind looks through everything next.
func (s *scan) rewind() { s.fullAt = time.Time{} }

// searched is told of a search that began at start; highest is the
// highest id that it claimed, and cut says that it left some behind.
func (s *scan) searched(start time.Time, highest int64, cut bool) {
	now := time.Now()
	if all := !start.Before(s.fullAt); all && (!cut || highest > s.mark) {
		s.fullAt = now.Add(max(scanAll, scanShare*now.Sub(start)))
	}
	s.top = max(s.top, highest)
	if !now.Before(s.turn) {
		s.mark, s.earlier, s.turn = s.earlier, s.top, now.Add(scanBehind)
	}
}
