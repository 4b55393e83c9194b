// Package verify shows that a worker loses nothing: it runs the worker's own
// processes against a broker and a database, breaks them, and compares what
// took effect with what was published. It is for the verb of that name.
//
// What happens in a run, all of it chosen by the seed:
//
//	publish    events, some twice, out of order, some by the outbox
//	break      kill -9 and SIGSTOP of workers; connections cut by a proxy;
//	           kill -9 of broker and database, and failover to a standby,
//	           when they are the run's own;
//	           death at a crash point, in a build that has them
//	drain      until each event has come to its end
//	requeue    the letters that were meant to be, under kills as well
//	compare    the ledger with the tables
//
// The one thing to know: an event counts as confirmed when its publishing
// returned without an error, and from then on exactly one effect, or one dead
// letter, must come of it. A trigger on the table of effects counts them, so
// that the count is the database's and not the worker's.
package verify
