package rabbit

import (
	"crypto/sha256"
	"slices"
	"sync"
	"time"

	"github.com/answerfeed/answerfeed/internal/transport/inflight"
)

const (
	// rememberedFor is how long it is known that a message was handled after
	// the broker had taken it back, and maxRemembered of how many: what comes
	// again later than that is handled again.
	rememberedFor = time.Hour
	maxRemembered = 10_000
)

// outlived is the work that goes on after the broker has taken its message
// back, by closing the channel or the connection. The broker delivers the
// message again, often to this process; then the work is not begun anew, and
// the delivery is settled as the work ends.
type outlived struct {
	now func() time.Time

	mu      sync.Mutex
	last    int // number of a message remembered
	running map[fingerprint]*attempt
	handled map[fingerprint]remembered
	order   []remembered // the oldest first, those that were noted again included
}

// fingerprint tells messages apart.
type fingerprint [sha256.Size]byte

// attempt is what runs of one message. Two messages that are the same byte by
// byte share it: it ends with the last of them, as the worst of them.
type attempt struct {
	key     fingerprint
	running int
	outcome inflight.Outcome
	waiting []*claim // deliveries of the message that came since
}

type remembered struct {
	key    fingerprint
	number int // rises
	at     time.Time
}

func newOutlived() *outlived {
	return &outlived{now: time.Now, running: map[fingerprint]*attempt{}, handled: map[fingerprint]remembered{}}
}

// begin notes work that outlives its session. end ends it.
func (o *outlived) begin(key fingerprint) *attempt {
	o.mu.Lock()
	defer o.mu.Unlock()
	a := o.running[key]
	if a == nil {
		a = &attempt{key: key}
		o.running[key] = a
	}
	a.running++
	return a
}

// end settles the deliveries that waited for the work.
func (o *outlived) end(a *attempt, outcome inflight.Outcome) {
	for _, cl := range o.ended(a, outcome) {
		cl.consumer.end(cl, a.outcome)
	}
}

func (o *outlived) ended(a *attempt, outcome inflight.Outcome) (waiting []*claim) {
	o.mu.Lock()
	defer o.mu.Unlock()
	a.outcome = max(a.outcome, outcome) // acked, nacked, returned: from the best to the worst
	a.running--
	if a.running > 0 {
		return nil
	}
	delete(o.running, a.key)
	if a.outcome == inflight.Acked {
		o.note(a.key)
	}
	waiting, a.waiting = a.waiting, nil
	return waiting
}

// join lets a delivery wait for work on its message, or says that the message
// was handled already.
func (o *outlived) join(cl *claim) (a *attempt, handled bool) {
	o.mu.Lock()
	idle := len(o.running) == 0 && len(o.handled) == 0
	o.mu.Unlock()
	if idle { // nearly always; a fingerprint costs
		return nil, false
	}
	key := cl.fingerprint()
	o.mu.Lock()
	defer o.mu.Unlock()
	if a := o.running[key]; a != nil {
		a.waiting = append(a.waiting, cl)
		return a, false
	}
	r, ok := o.handled[key]
	return nil, ok && o.now().Sub(r.at) < rememberedFor
}

// leave takes back a delivery whose own session has ended; false when it has
// its outcome already.
func (o *outlived) leave(cl *claim) bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	i := slices.Index(cl.joined.waiting, cl)
	if i < 0 {
		return false
	}
	cl.joined.waiting = slices.Delete(cl.joined.waiting, i, i+1)
	return true
}

// awaited reports that the message of the work was delivered here again, so
// that the work may move it.
func (o *outlived) awaited(a *attempt) bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	return len(a.waiting) > 0
}

// remember notes a message that was handled and not acknowledged.
func (o *outlived) remember(key fingerprint) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.note(key)
}

func (o *outlived) note(key fingerprint) {
	now := o.now()
	o.last++
	r := remembered{key, o.last, now}
	o.handled[key] = r
	o.order = append(o.order, r)
	old := 0
	for ; old < len(o.order); old++ {
		first := o.order[old]
		if len(o.order)-old <= maxRemembered && now.Sub(first.at) < rememberedFor {
			break
		}
		if o.handled[first.key].number == first.number { // and not noted again since
			delete(o.handled, first.key)
		}
	}
	o.order = o.order[old:]
}
