// Package faults holds tests and benchmarks of the worker's real binary: they
// build it, run it as a process, kill it at random moments, and hold what its
// pages show against a ledger of what was published.
//
// The one thing to know: the ledger computes the feed anew from the events,
// by the contract and not by the worker's code.
package faults
