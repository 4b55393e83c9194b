// Package fleet keeps the list of the workers that run, in the database: for
// whoever has to tell a process that died from one that lost a connection, and
// for those who show the list.
//
// A worker's row:
//
//	Join --a beat each second--> … --Leave--> gone
//	                              \--the process dies, another buries it--> gone
//
// The one thing to know: no clock decides that a worker is dead. On one machine
// the kernel says so. Of another machine's worker a process must have seen the
// same number of beats at ten of its own beats in a row, over ten seconds or
// more. While the database is away nobody's beats succeed, so nobody dies of
// its absence.
package fleet
