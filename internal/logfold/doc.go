// Package logfold keeps a flood of log lines readable: of the lines that tell
// the same cause it passes on the first at once, and then one a second, with
// the number of lines that the one stands for.
//
// The one thing to know: a cause is a level, a message and its attributes, but
// for numbers, times and ids; of an error, the words. Another cause is another
// line, so that a flood hides no error of another kind.
package logfold
