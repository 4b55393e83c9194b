// Package crashpoint holds the moments at which a process that dies does the most
// harm, for tests that kill it there. In a build with the tag crashpoints the
// variable WORKER_TEST_CRASH names a point and after how many passes the
// process kills itself, as in "received:3"; WORKER_TEST_BROKEN makes the worker
// wrong on purpose, so that `worker verify` can show that it notices.
//
// The one thing to know: in any other build every function here is empty, and
// the compiler leaves the calls out.
package crashpoint

// Point is one of those moments.
type Point string

// The points.
const (
	// Received: a message was delivered, and nothing was done about it.
	Received Point = "received"
	// BeforeCommit: a transaction is written and not committed: of an effect,
	// of a letter, or of a SQL queue.
	BeforeCommit Point = "before-commit"
	// Committed: a message took effect, and is not acknowledged.
	Committed Point = "committed"
	// LetterPublished: a message is in the dead queue, and the original is not
	// acknowledged.
	LetterPublished Point = "letter-published"
	// RedeliveryPublished: a message is put off, and the original is not
	// acknowledged.
	RedeliveryPublished Point = "redelivery-published"
	// LetterStored: a letter is on the desk, and not acknowledged in the dead
	// queue.
	LetterStored Point = "letter-stored"
	// Requeued: letters are back in their queue, and not marked so on the desk.
	Requeued Point = "requeued"
	// Relayed: events of the outbox are sent, and not deleted there.
	Relayed Point = "relayed"
	// Draining: the worker was told to stop, and finishes what is in flight.
	Draining Point = "draining"
)

// Points are all of them.
func Points() []Point {
	return []Point{
		Received, BeforeCommit, Committed, LetterPublished, RedeliveryPublished, LetterStored, Requeued, Relayed, Draining,
	}
}

// Variables of a build with the tag.
const (
	// PointVariable is POINT:PASSES.
	PointVariable = "WORKER_TEST_CRASH"
	// BrokenVariable is one of the mistakes below.
	BrokenVariable = "WORKER_TEST_BROKEN"
)

// Mistakes that BrokenVariable names.
const (
	// AcknowledgeFirst acknowledges a message before it is handled.
	AcknowledgeFirst = "acknowledge-first"
	// LetterLast acknowledges a message before its dead letter is written.
	LetterLast = "letter-last"
	// AsynchronousStandby lets a run of verify have a standby for which no
	// commit waits.
	AsynchronousStandby = "asynchronous-standby"
)
