// Package failures holds tests and benchmarks of what becomes of messages that
// fail, on real components: each kind of failure on each transport, databases
// and services that go away, messages that kill the worker, floods of poison,
// and payloads and headers of every kind.
//
// The one thing to know: most tests wire an App in their own process, with
// handlers that fail as they are told to; those in which a process has to die
// run the test binary again, as the worker of program.
package failures
