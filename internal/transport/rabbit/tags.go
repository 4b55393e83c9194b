package rabbit

import (
	"slices"
	"time"
)

// tags are the delivery tags of one channel that are not settled with the
// broker yet, in order: each is settled exactly once, since a second time
// closes the channel.
type tags struct {
	open    []tag // rising; settled ones stay until they are worth removing
	settled int   // of open
}

type tag struct {
	number uint64
	state  tagState
	since  time.Time // finished
	claim  *claim    // nil until it is taken, and once it is settled
}

type tagState uint8

const (
	inFlight tagState = iota
	finished          // handled; the broker is to be told
	settled           // the broker was told
)

// deliver takes the next tag in. Tags of a channel rise.
func (t *tags) deliver(n uint64) { t.open = append(t.open, tag{number: n}) }

// take notes that a message that was delivered is being handled.
func (t *tags) take(n uint64, c *claim) { t.at(n).claim = c }

// unsettled are the claims of which the broker was told nothing.
func (t *tags) unsettled() []*claim {
	var claims []*claim
	for _, tag := range t.open {
		if tag.claim != nil {
			claims = append(claims, tag.claim)
		}
	}
	return claims
}

// at is a tag that is not settled.
func (t *tags) at(n uint64) *tag {
	i, _ := slices.BinarySearchFunc(t.open, n, func(t tag, n uint64) int {
		switch {
		case t.number < n:
			return -1
		case t.number > n:
			return 1
		}
		return 0
	})
	return &t.open[i]
}

// finish notes that a message was handled.
func (t *tags) finish(n uint64, now time.Time) {
	tag := t.at(n)
	tag.state, tag.since = finished, now
}

// settle notes that the broker was told in another way: by a nack.
func (t *tags) settle(n uint64) {
	t.mark(t.at(n))
	t.trim()
}

// settleUpTo notes that the broker was told of everything up to the tag.
func (t *tags) settleUpTo(n uint64) {
	for i := range t.open {
		if t.open[i].number > n {
			break
		}
		t.mark(&t.open[i])
	}
	t.trim()
}

func (t *tags) mark(tag *tag) {
	if tag.state != settled {
		tag.state, tag.claim = settled, nil
		t.settled++
	}
}

// prefix returns the tag up to which all messages are finished or settled, so
// that one acknowledgement of many covers them; 0 when there is none. The tag
// itself is a finished one: the broker refuses one that it was told of already.
func (t *tags) prefix() (multiple uint64) {
	for i := range t.open {
		if t.open[i].state == inFlight {
			break
		}
		if t.open[i].state == finished {
			multiple = t.open[i].number
		}
	}
	return multiple
}

// beyond returns the finished tags behind one in flight that were finished
// before the moment: they are acknowledged singly. next is when the earliest of
// the others was finished.
func (t *tags) beyond(before time.Time) (singles []uint64, next time.Time) {
	for i := range t.open {
		tag := &t.open[i]
		switch {
		case tag.state != finished:
		case !tag.since.After(before):
			singles = append(singles, tag.number)
		case next.IsZero() || tag.since.Before(next):
			next = tag.since
		}
	}
	return singles, next
}

// trim forgets what is settled, once it is half of all: behind one slow
// message any number of others may pass.
func (t *tags) trim() {
	if 2*t.settled >= len(t.open) {
		t.open = slices.DeleteFunc(t.open, func(t tag) bool { return t.state == settled })
		t.settled = 0
	}
}
