package verify

import (
	"fmt"
	"math/rand/v2"
	"strconv"

	"github.com/ThreeDotsLabs/watermill/message"

	"github.com/answerfeed/answerfeed/internal/producer"
)

// Names of the run's handlers and topic. Queues and tables are set apart by a
// prefix, a schema or a file of the run's own.
const (
	// HandlerName is the handler whose effects happen once, by the inbox.
	HandlerName = "verify"
	// ConvergingName is the handler that has no inbox: its effects may happen
	// again, and end in the same.
	ConvergingName = "converge"
	Topic          = "verified"
)

// kind is what the handler does about an event, and the first letter of the
// event's id.
type kind byte

const (
	plain     kind = 'p' // takes effect
	flaky     kind = 'f' // fails for the moment in each process that sees it first, then takes effect
	incurable kind = 'i' // becomes a dead letter, and stays one
	curable   kind = 'c' // becomes a dead letter, and takes effect when it is requeued in the end
)

// Shares of a run's events.
const (
	oneInFlaky     = 40
	oneInIncurable = 200
	oneInCurable   = 200
	oneInTwice     = 20 // published again later
	oneInOutbox    = 20 // stored in the outbox, and not published
)

// item is one event.
type item struct {
	number int
	kind   kind
}

func (i item) id() string { return string(rune(i.kind)) + strconv.Itoa(i.number) }

func (i item) payload() []byte { return fmt.Appendf(nil, `{"event_id":%q}`, i.id()) }

// Encode makes an item an event for the outbox.
func (i item) Encode() ([]byte, error) { return i.payload(), nil }

func (i item) message() *message.Message { return producer.NewMessage(i.id(), i.payload(), nil) }

// parse reads an id.
func parse(id string) (item, bool) {
	if id == "" {
		return item{}, false
	}
	n, err := strconv.Atoi(id[1:])
	return item{n, kind(id[0])}, err == nil
}

// ledger is what was published. It is for one goroutine.
type ledger struct {
	random    *rand.Rand
	kinds     []kind // by number
	confirmed int    // all before this number
	messages  int    // confirmed, repeated ones included
	failures  int    // calls of Publish that failed and were made again
}

// next invents n events: of mixed kinds, or, evenly, of all of them.
func (l *ledger) next(n int, evenly bool) []item {
	items := make([]item, n)
	for i := range items {
		k := plain
		switch {
		case evenly:
			k = []kind{plain, flaky, incurable, curable}[i%4]
		case l.random.IntN(oneInFlaky) == 0:
			k = flaky
		case l.random.IntN(oneInIncurable) == 0:
			k = incurable
		case l.random.IntN(oneInCurable) == 0:
			k = curable
		}
		items[i] = item{len(l.kinds), k}
		l.kinds = append(l.kinds, k)
	}
	return items
}

// again picks about one in oneInTwice of n from all that were published.
func (l *ledger) again(n int) []item {
	items := make([]item, 0, n/oneInTwice)
	for range n / oneInTwice {
		if l.confirmed > 0 {
			number := l.random.IntN(l.confirmed)
			items = append(items, item{number, l.kinds[number]})
		}
	}
	return items
}
