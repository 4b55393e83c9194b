// Package suspect finds the messages that processes die of, among those that
// merely were beside them: for the middleware, which handles what came back by
// the plans that are made here.
//
// A broker counts a return for whatever was in flight when a process died or a
// connection was cut. So a message that came back is only handled in a group
// that has a row in the database for as long as it is handled. A group's life:
//
//	begun ── handled in parallel, with others ──> all have ended: the row goes
//	  └ the process dies ──> two halves, which wait ──> each is begun alone in its process …
//	                                                        └ a half of one message: alone.
//	                                                          Its fifth death is its last.
//
// The one thing to know: a death in company accuses nobody. It halves the
// range of hashes from which the guilty one is; only while a message is
// handled alone a death counts against it, and a handling that ends, however it
// ends, clears it.
package suspect
