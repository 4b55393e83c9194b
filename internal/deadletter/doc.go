// Package deadletter keeps the messages that failed for good, and is where a
// person looks after them: [Store] for the workers that bring letters, [Desk]
// for the person.
//
// A letter is dead until somebody decides:
//
//	       requeue
//	dead ───────────▶ requeued ─┐ fails again: a new letter,
//	▲  │                        │ counted one requeue more
//	│  │ discard
//	│  └────────────▶ discarded
//	└──────restore───────┘
//
// The one thing to know: a letter is safe in the broker's dead queue until it
// is stored here, and storing it twice is storing it once, because its id
// follows from what it is. And back: what is requeued is safe in its queue
// before it is marked.
package deadletter
