package verify

import (
	"math/rand/v2"
	"time"

	"github.com/answerfeed/answerfeed/app/crash"
)

// fault is what a step does.
type fault string

const (
	killWorker   fault = "worker kill"
	stopWorker   fault = "worker stop"
	cutNetwork   fault = "cut"
	killBroker   fault = "broker kill"
	killDatabase fault = "database kill"
	crashAt      fault = "crash point"
)

// step is one fault, and when in the publishing of its share it comes.
type step struct {
	fault  fault
	worker int           // of those that the fault is for
	after  time.Duration // from when its share begins to be published
	point  crash.Point
	passes int
}

// maxAfter is the latest moment of a fault in its step.
const maxAfter = 150 * time.Millisecond

// plan chooses the order of the faults, their moments and their victims.
// Stops come first: they take long, and others go on meanwhile.
func plan(o Options, random *rand.Rand) []step {
	var steps []step
	add := func(f fault, n int) {
		for range n {
			steps = append(steps, step{fault: f})
		}
	}
	add(killWorker, o.Kills)
	add(cutNetwork, o.Cuts)
	add(killBroker, o.BrokerKills)
	add(killDatabase, o.DatabaseKills)
	for _, point := range crash.Points() {
		if point == crash.Requeued { // in the end
			continue
		}
		for range o.CrashPoints {
			steps = append(steps, step{fault: crashAt, point: point, passes: 1 + random.IntN(passes(point))})
		}
	}
	random.Shuffle(len(steps), func(i, j int) { steps[i], steps[j] = steps[j], steps[i] })
	for range o.Stops {
		steps = append([]step{{fault: stopWorker}}, steps...)
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
func passes(p crash.Point) int {
	switch p {
	case crash.Received, crash.Committed:
		return 50
	case crash.BeforeCommit:
		return 10
	default:
		return 2
	}
}
