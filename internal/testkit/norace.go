//go:build !race

package testkit

// Share divides the volume of a test: not without the race detector.
const Share = 1
