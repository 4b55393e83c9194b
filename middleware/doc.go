// Package middleware is what happens around a handler: for those who wire the
// worker's router.
//
// The one thing to know is the order, outermost first, which [Chain] alone
// states:
//
//	Correlation  names the message, for logs and for whatever it sets off
//	Metrics      counts how the message ended, and how long it took
//	DeadLetter   permanent, unknown or exhausted: a letter, then success
//	Redeliver    transient after the quick attempts: back to the queue, later
//	CrashLoopGuard  what came back: in groups, to find what kills
//	Retry        quick attempts, in process; gives each failure its verdict
//	Timeout      bounds one attempt, also of a handler that ignores its context
//	Recover      a panic becomes an error
//	Limits       what is too large or unreadable never reaches the handler
//
// An error that leaves the chain makes the router nack: the message is not
// acknowledged and comes back after a pause. That is the fate of work that was
// interrupted, and of a message that could not be made safe.
//
// With at-most-once delivery [AtMostOnce] stands in for DeadLetter, Redeliver
// and Retry: one attempt, and its failure is logged and counted.
package middleware
