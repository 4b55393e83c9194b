// Package feed is the read model behind the feed of newest questions: the
// feed handler writes it, the web pages read it.
//
// The one thing to know: it converges. A question and an answer are registers
// whose merge is associative, commutative and idempotent (register.go), and
// everything else, the counters included, is a function of them, kept
// incrementally (tally.go). So events may come twice, late, and in any order,
// to one worker or to several: the rows are the same in the end, bit for bit.
//
//	event ─ change ─ collapsed with its batch ─ merged with the rows ─ written
package feed
