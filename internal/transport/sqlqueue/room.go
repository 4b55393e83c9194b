package sqlqueue

import "github.com/answerfeed/answerfeed/internal/memory"

// leastTypical is what a message is taken to need as long as none was seen.
const leastTypical = memory.Overhead + memory.Copies<<10

// reserve takes memory for the next claim: how many messages it may want, and
// what they may take together. Without memory it wants none, until some is
// freed.
func (c *consumer) reserve() (want int, limit int64) {
	want = min(c.cfg.Window-len(c.claims), claimBatch)
	each := max(c.typical, leastTypical)
	c.freed = c.memory.Freed()
	limit = c.memory.Reserve(int64(want)*each, max(c.head, each))
	if limit == 0 {
		c.tight, c.more = true, false
		return 0, 0
	}
	return min(want, int(max(1, limit/memory.Overhead))), limit
}

// keep keeps what the claimed messages take of what was reserved, and gives
// back the rest.
func (c *consumer) keep(reserved int64, rows []row, err error) {
	if reserved == 0 {
		return
	}
	used, largest := int64(0), int64(0)
	if err == nil { // else nothing was claimed
		for _, r := range rows {
			used += r.claim.cost
			largest = max(largest, r.claim.cost)
		}
	}
	c.memory.Give(reserved - used)
	if len(rows) > 0 {
		// Rather too much: it falls slowly, since a batch that is cut costs
		// another round.
		c.typical = max(used/int64(len(rows)), c.typical*3/4)
	}
}

// loosen looks for messages again, since there may be memory for them.
func (c *consumer) loosen() { c.tight, c.more = false, true }
