package app

import (
	"os"
	"runtime/debug"
)

// ballast is never written to, so it takes address space and no memory; the
// collector counts it as in use.
var ballast []byte //nolint:unused,gochecknoglobals // to be there is its use

// CollectLess has garbage collected when the heap is three times of what is in
// use and 32 MiB beyond, unless the environment's GOGC says otherwise: of a
// heap as small as a worker's, Go's own twice collects so often that it takes
// a fifth of a drain's processor time. A program calls it once, at its start.
func CollectLess() {
	if os.Getenv("GOGC") != "" {
		return
	}
	debug.SetGCPercent(200)
	ballast = make([]byte, 16<<20)
}
