//go:build !crashpoints

package crashpoint

import "github.com/ThreeDotsLabs/watermill/message"

// Enabled tells that this build has crash points.
const Enabled = false

// At dies here, if it is told to.
func At(Point) {}

// Handling is called before a message is handled, to make that mistake.
func Handling(*message.Message) {}

// Burying is called before a message becomes a dead letter, to make that
// mistake.
func Burying(*message.Message) {}

// Broken tells that the process is to make that mistake.
func Broken(string) bool { return false }
