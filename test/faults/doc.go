// Package faults holds tests and benchmarks of the worker's real binary: they
// build it, run it as a process on each transport, kill it at random moments,
// kill its broker and break the network between the two, feed it by other
// people's clients, and hold what its pages show against a ledger of what was
// published. One test makes the worker wrong on purpose, to see that
// `worker verify` finds out.
//
// The one thing to know: the ledger computes the feed anew from the events,
// by the contract and not by the worker's code.
package faults
