// Package app wires the worker: configuration in, a running App out. It is
// the one place where the parts meet, for the worker's own binary and for
// programs with handlers of their own (see the examples folder).
//
// A message's life, with at-least-once delivery:
//
//	published ─ safe in the broker, one copy in each handler's queue
//	   │
//	claimed ─── in the window of one worker; comes back if that worker dies
//	   │
//	handled ─── Correlation Metrics DeadLetter Redeliver CrashLoopGuard Retry Outage Timeout Recover Limits
//	   │            │                   │         │
//	   │            │                   │         └ transient, schedule left: back to its queue, later
//	   │            │                   └ permanent, unknown, exhausted: dead queue → desk
//	   │            └ interrupted, or not to be made safe: not acknowledged, comes back
//	committed ─ the effect is in the read model
//	   │
//	acknowledged
//
// The one thing to know: acknowledging comes last. Between any two steps the
// process may die, and then the message comes again; so effects are written
// to be repeatable, or use the inbox.
package app
