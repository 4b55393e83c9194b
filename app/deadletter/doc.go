// Package deadletter keeps the messages that failed for good, for the person
// who looks after them.
//
// The one thing to know: a letter is safe in the broker's dead queue until it
// is stored here, and storing it twice is storing it once, because its id
// follows from what it is.
package deadletter
