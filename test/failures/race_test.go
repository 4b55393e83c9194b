//go:build race

package failures

// share of the volume that a test takes with the race detector, under which
// SQLite in Go is some ten times as slow; make volume runs the whole without it.
const share = 5
