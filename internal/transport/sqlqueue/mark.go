package sqlqueue

import (
	"math"
	"sync/atomic"
	"time"
)

// position is a place in the order in which a queue's messages are claimed.
type position struct{ due, id int64 }

func (p position) before(q position) bool {
	return p.due < q.due || p.due == q.due && p.id < q.id
}

// beginning is before all.
var beginning = position{due: math.MinInt64} //nolint:gochecknoglobals // a constant

// slack is how far behind the clock a mark stays: that long a publisher may
// take from asking the clock to its commit without being overlooked at first.
const slack = 250 * time.Millisecond

// mark is a consumer's low-water mark on PostgreSQL: up to it, everything was
// claimed, so that claims may begin behind it.
//
// As long as a snapshot that is older exists anywhere in the server, what was
// deleted stays in the index, and a scan from the beginning reads all of it
// each time: a drain fell from 29,000 messages a second to 7,100 within 25 s.
// What appears below the mark all the same (a commit that took long, a claim
// that ended or was undone) is found by [lookout], which then resets it.
type mark struct{ at atomic.Pointer[position] }

// from is where to begin; it is what advance and reset want to be shown.
func (m *mark) from() *position {
	for {
		if at := m.at.Load(); at != nil {
			return at
		}
		first := beginning
		m.at.CompareAndSwap(nil, &first)
	}
}

// advance moves the mark, but not back, not beyond the slack, and not if it
// was reset since from.
func (m *mark) advance(from *position, to position, now int64) {
	if limit := (position{due: now - slack.Microseconds()}); limit.before(to) {
		to = limit
	}
	if from.before(to) {
		m.at.CompareAndSwap(from, &to)
	}
}

func (m *mark) reset() {
	first := beginning
	m.at.Store(&first)
}
