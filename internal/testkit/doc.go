// Package testkit is what the tests of several packages share.
//
// The one thing to know: under the race detector a test takes its volume
// divided by Share; make volume runs the whole without it.
package testkit
