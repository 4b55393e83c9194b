//go:build race

package testkit

// Share divides the volume of a test under the race detector, with which
// SQLite in Go is some ten times as slow.
const Share = 5
