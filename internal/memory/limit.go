package memory

import (
	"math"
	"os"
	"runtime/debug"

	"github.com/KimMachineGun/automemlimit/memlimit"
)

const (
	// Default is what the process takes where nothing limits it, in bytes.
	Default = 150 << 20
	// Least is the least that a process can be told, in bytes: below, there is
	// no room for anything but the program.
	Least = 64 << 20
	// ofCgroup is the part of a cgroup's limit that the process takes, in
	// percent: the kernel counts what is not the process's own, such as pages
	// of files that are being written.
	ofCgroup = 75
)

// Limit is what the process may take, in bytes: what is configured, or, for 0,
// three quarters of the cgroup's limit, or [Default] without one.
func Limit(configured int64) int64 {
	if configured > 0 {
		return configured
	}
	group, err := memlimit.FromCgroup()
	if err != nil || group > math.MaxInt64/ofCgroup { // none, or one that means none
		return Default
	}
	return max(Least, int64(group)/100*ofCgroup)
}

// Plan is what each part may take of a limit, in bytes.
type Plan struct {
	// Messages is for the messages in flight.
	Messages int64
	// Caches is for those of the embedded databases, which are outside Go's
	// heap.
	Caches int64
	// Heap is Go's, messages included.
	Heap int64
}

// maxCaches is what the caches never exceed: more makes nothing faster.
const maxCaches = 96 << 20

// program is what the process takes beside heap and caches: its own text, and
// the stacks of threads.
const program = 16 << 20

// Divide makes a plan of a limit.
func Divide(limit int64) Plan {
	caches := min(limit/6, maxCaches)
	return Plan{Messages: limit * 2 / 5, Caches: caches, Heap: limit - caches - program}
}

// SetHeap lets the garbage collector keep the heap within so many bytes, as
// far as what is in use allows. GOMEMLIMIT in the environment outweighs it.
func SetHeap(bytes int64) {
	if os.Getenv("GOMEMLIMIT") == "" {
		debug.SetMemoryLimit(bytes)
	}
}
