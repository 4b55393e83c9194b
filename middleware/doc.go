// Package middleware wraps a handler with the worker's delivery rules: retries, dead letters,
// timeouts, metrics. It is for programs that wire a Watermill router; package app does it for the
// worker.
//
// The one thing to know is the order, which [Chain] alone decides. With at-least-once delivery,
// outermost first:
//
//	Correlation     gives the message a correlation id, for logs and for what the handler publishes
//	Metrics         counts how the delivery ended, and how long it took
//	DeadLetter      permanent, unknown or exhausted failure: stores a dead letter, then succeeds
//	Redeliver       transient failure after the quick attempts: back to the queue, with a delay
//	CrashLoopGuard  handles redelivered messages in groups, to find the one that kills the process
//	Retry           makes the quick attempts, and gives each failure its verdict
//	Outage          makes no attempt while a dependency is unavailable
//	Timeout         bounds one attempt, even if the handler ignores its context
//	Recover         turns a panic into an error
//	Limits          refuses a message that is too large or unreadable
//
// An error that leaves the chain makes the router nack: the message is not acknowledged and is
// delivered again after a pause. This happens to interrupted work, and to a message that could
// neither be redelivered nor dead-lettered.
//
// With at-most-once delivery AtMostOnce and WaitForIsolation replace DeadLetter, Redeliver,
// CrashLoopGuard and Retry: the handler makes one attempt, and a failure is logged and counted.
package middleware
