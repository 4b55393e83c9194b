package memory

import (
	"slices"
	"sync"
)

// Overhead is what a message in flight takes beside its payload, in bytes:
// two goroutines, the message and its context.
const Overhead = 8 << 10

// Copies is how often a payload stands in memory while its message is handled.
const Copies = 4

// Cost is what a message with a payload of so many bytes takes, in bytes.
func Cost(payload int64) int64 { return Copies*payload + Overhead }

// Budget is what all messages in flight may take together. Half of the budget
// is shared out evenly among the holders, so that one that is slow leaves room
// for the others; the other half is for whoever comes first. A Budget is safe
// for concurrent use.
type Budget struct {
	limit int64

	mu      sync.Mutex
	holders []*Holder
	over    *Holder       // holds a message that fits nowhere
	refused bool          // since the last change
	freed   chan struct{} // closed when there is more room than before
}

// NewBudget returns a budget of limit bytes.
func NewBudget(limit int64) *Budget { return &Budget{limit: limit, freed: make(chan struct{})} }

// Holder holds messages, such as the window of a queue does.
type Holder struct {
	budget *Budget
	used   int64
}

// Holder returns a new holder, which has an even part from now on. Close it.
func (b *Budget) Holder() *Holder {
	b.mu.Lock()
	defer b.mu.Unlock()
	h := &Holder{budget: b}
	b.holders = append(b.holders, h)
	return h
}

// Close leaves the holder's part to the others. What the holder still has
// counts no more.
func (h *Holder) Close() {
	b := h.budget
	b.mu.Lock()
	defer b.mu.Unlock()
	b.holders = slices.DeleteFunc(b.holders, func(other *Holder) bool { return other == h })
	if b.over == h {
		b.over = nil
	}
	b.changed()
}

// part is the even part of each holder.
func (b *Budget) part() int64 { return b.limit / 2 / int64(max(1, len(b.holders))) }

// common is what is left of the half that is for whoever comes first; below 0
// while a message is held that fits nowhere.
func (b *Budget) common() int64 {
	left, part := b.limit/2, b.part()
	for _, h := range b.holders {
		left -= max(0, h.used-part)
	}
	return left
}

// Reserve takes up to want bytes, and at least least or nothing. A single
// message is always possible: a holder that has nothing gets least even when
// that fits nowhere, one holder at a time. Give back what is not used.
func (h *Holder) Reserve(want, least int64) (granted int64) {
	b := h.budget
	b.mu.Lock()
	defer b.mu.Unlock()
	granted = min(max(want, least), max(0, b.part()-h.used)+max(0, b.common()))
	switch {
	case granted >= least:
	case h.used == 0 && b.over == nil:
		b.over, granted = h, least
	default:
		b.refused = true
		return 0
	}
	h.used += granted
	return granted
}

// Give gives back what was reserved.
func (h *Holder) Give(bytes int64) {
	if bytes == 0 {
		return
	}
	b := h.budget
	b.mu.Lock()
	defer b.mu.Unlock()
	h.used -= bytes
	if b.over == h && b.common() >= 0 {
		b.over = nil
	}
	b.changed()
}

// changed wakes those that were refused.
func (b *Budget) changed() {
	if b.refused {
		b.refused = false
		close(b.freed)
		b.freed = make(chan struct{})
	}
}

// Freed is closed when there is more room than at the last refusal. Ask before
// Reserve, or the change may come in between.
func (h *Holder) Freed() <-chan struct{} {
	h.budget.mu.Lock()
	defer h.budget.mu.Unlock()
	return h.budget.freed
}
