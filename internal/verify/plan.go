package verify

import (
	"math/rand/v2"
	"time"

	"github.com/answerfeed/answerfeed/internal/crashpoint"
)

// Fault is one kind of what a run breaks.
type Fault string

// The faults, by the names that the report gives them.
const (
	WorkerKill     Fault = "worker kill"
	WorkerStop     Fault = "worker stop"
	Cut            Fault = "cut"
	BrokerKill     Fault = "broker kill"
	DatabaseKill   Fault = "database kill"
	CrashPoint     Fault = "crash point"
	TableRename    Fault = "table rename"
	DiskFull       Fault = "disk full"
	DeliveryLimit  Fault = "delivery limit"
	RefusingQueue  Fault = "refusing queue"
	LargeMessage   Fault = "large message"
	ClosedByBroker Fault = "close by broker"
	Failover       Fault = "failover"
)

// Faults are all of them, in the order in which they are planned.
func Faults() []Fault {
	return []Fault{
		WorkerKill, WorkerStop, Cut, BrokerKill, DatabaseKill, CrashPoint,
		TableRename, DiskFull, DeliveryLimit, RefusingQueue, LargeMessage, ClosedByBroker, Failover,
	}
}

// Need is what of the run's own a fault takes, in words.
type Need string

// The needs; the zero value is none.
const (
	NeedsBroker   Need = "a broker"
	NeedsDatabase Need = "a database"
	NeedsDisk     Need = "a disk"
	NeedsStandby  Need = "a database with a standby"
)

// Needs is what the fault takes.
func (f Fault) Needs() Need {
	switch f {
	case BrokerKill, DeliveryLimit, RefusingQueue, LargeMessage, ClosedByBroker:
		return NeedsBroker
	case DatabaseKill:
		return NeedsDatabase
	case DiskFull:
		return NeedsDisk
	case Failover:
		return NeedsStandby
	}
	return ""
}

// step is one fault, and when in the publishing of its share it comes.
type step struct {
	fault  Fault
	worker int           // of those that the fault is for
	after  time.Duration // from when its share begins to be published
	point  crashpoint.Point
	passes int
	table  string // of a rename
}

// maxAfter is the latest moment of a fault in its step.
const maxAfter = 150 * time.Millisecond

// plan chooses the order of the faults, their moments and their victims.
// Stops come first: they take long, and others go on meanwhile.
func plan(o Options, random *rand.Rand) []step {
	var steps []step
	for _, f := range Faults() {
		if f == WorkerStop || f == CrashPoint {
			continue
		}
		for n := range o.Times[f] {
			steps = append(steps, step{fault: f, table: renamed()[n%len(renamed())]}) // each table in turn
		}
	}
	for _, point := range crashpoint.Points() {
		if point == crashpoint.Requeued { // in the end
			continue
		}
		for range o.Times[CrashPoint] {
			steps = append(steps, step{fault: CrashPoint, point: point, passes: 1 + random.IntN(passes(point))})
		}
	}
	random.Shuffle(len(steps), func(i, j int) { steps[i], steps[j] = steps[j], steps[i] })
	for range o.Times[WorkerStop] {
		steps = append([]step{{fault: WorkerStop}}, steps...)
	}
	for i := range steps {
		steps[i].worker = random.IntN(workers)
		steps[i].after = time.Duration(random.Int64N(int64(maxAfter)))
	}
	return steps
}

// passes is after how many a process dies at a point at the latest: some are
// passed by every message, some by few, and of some the first passes are those
// in which there is most to lose.
func passes(p crashpoint.Point) int {
	switch p {
	case crashpoint.Received, crashpoint.Committed:
		return 50
	case crashpoint.BeforeCommit:
		return 10
	default:
		return 2
	}
}
