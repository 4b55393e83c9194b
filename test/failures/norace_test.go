//go:build !race

package failures

// share of the volume that a test takes: see the other file of it.
const share = 1
