// Package transporttest is the conformance suite of [transport.Transport]:
// each row is a promise that the worker relies on, whatever the broker. It is
// for the tests of a transport's package:
//
//	func TestMain(m *testing.M) {
//		transporttest.Child(open)
//		goleak.VerifyTestMain(m)
//	}
//
//	func TestConformance(t *testing.T) {
//		transporttest.Run(t, transporttest.Harness{Start: start})
//	}
//
// The one thing to know: rows wait for events, and measure when something
// came. Where something must not come they watch for a moment, so that a slow
// machine may hide a fault and never invents one.
package transporttest

import (
	"testing"
	"time"

	"github.com/answerfeed/answerfeed/internal/transport"
)

// Harness tells the suite where the broker is.
type Harness struct {
	// Start returns a broker with nothing in it that the row can see. With
	// own, no other row may have the same, since this one stops it.
	Start func(t *testing.T, own bool) Broker
}

// Broker is one row's broker.
type Broker struct {
	// Open returns a transport with connections of its own, as another
	// process has. It is closed when the test ends, if not before.
	Open func(t *testing.T, s Settings) transport.Transport
	// Address is what [Child] gives its open to reach the broker from
	// another process.
	Address string
	// Restart stops the broker in good order and starts it again. Transports
	// opened before are not used after it.
	Restart func(t *testing.T)
	// Kill is Restart with SIGKILL. It is nil where the broker is a part of
	// the processes that use it: then the suite kills one of those.
	Kill func(t *testing.T)
	// ExpireClaims ends the leases of all that is in flight, as if their
	// workers had stood still. It is nil where claims have no lease but end
	// with their connection.
	ExpireClaims func(t *testing.T)
	// Ages says that Backlog tells the age of the oldest message.
	Ages bool
	// Holds says that a consumer holds more than what it has in work:
	// messages that the broker sent ahead, and nacked ones until their pause
	// ends. Backlog counts neither, and both come back at once when it closes.
	Holds bool
}

// Settings are what rows ask of a transport. Zero = the transport's defaults.
type Settings struct {
	Prefix string
	// Lease is how long a claim lasts. Transports without leases pass over it.
	Lease time.Duration
	// NackPause is the least time before a nacked message comes back.
	NackPause time.Duration
}

// row is one promise.
type row struct {
	promise string
	own     bool // see Harness.Start
	check   func(s *stage)
}

// Run checks every promise, each in a parallel subtest of its own.
func Run(t *testing.T, h Harness) {
	var rows []row
	for _, part := range [][]row{delivery(), content(), failures(), claims(), crashes(), closing(), gates(), queues(), chaotic()} {
		rows = append(rows, part...)
	}
	for _, r := range rows {
		t.Run(r.promise, func(t *testing.T) {
			t.Parallel()
			r.check(&stage{T: t, Broker: h.Start(t, r.own)})
		})
	}
}
