// Package memory divides what the process may take among those that hold
// messages: the windows of all queues, the caches of the database, and the
// heap around them.
//
// The one thing to know: a message costs more than its payload. The bytes
// stand in the message, in the decoded event, in the arguments of a statement
// and in what the driver sends, and each message has goroutines of its own; so
// [Cost] counts four times the payload and 8 KiB.
package memory
