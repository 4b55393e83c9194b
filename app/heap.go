package app

import (
	"os"
	"runtime/debug"

	"github.com/answerfeed/answerfeed/config"
	"github.com/answerfeed/answerfeed/internal/memory"
)

// ballast is never written to, so it takes address space and no memory; the
// collector counts it as in use.
var ballast []byte //nolint:unused,gochecknoglobals // to be there is its use

// ballastSize is in bytes.
const ballastSize = 16 << 20

// TuneGC keeps Go's heap within its part of the memory that the process may
// take, and has garbage collected when the heap is three times of what is in
// use and 32 MiB beyond: of a heap as small as a worker's, Go's own twice
// collects so often that it takes a fifth of a drain's processor time. GOGC
// and GOMEMLIMIT in the environment outweigh it. A program calls it once, at
// its start.
func TuneGC(m config.Memory) {
	heap := memory.Divide(memory.Limit(m.Bytes())).Heap
	if os.Getenv("GOGC") == "" {
		debug.SetGCPercent(200)
		ballast = make([]byte, ballastSize)
		heap += ballastSize
	}
	memory.SetHeap(heap)
}
