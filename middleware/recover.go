package middleware

import (
	"runtime/debug"

	"github.com/ThreeDotsLabs/watermill/message"

	"github.com/answerfeed/answerfeed/app/failure"
)

// maxStack is how much of a stack is kept: a dead letter's headers must fit
// the broker's frame.
const maxStack = 2 << 10

// Recover turns a panic of the handler into a [failure.Panicked]. What ends
// the goroutine in another way, runtime.Goexit, is seen by [Timeout].
func Recover(next message.HandlerFunc) message.HandlerFunc {
	return func(m *message.Message) (out []*message.Message, err error) {
		defer func() {
			if r := recover(); r != nil {
				stack := debug.Stack()
				err = &failure.Panicked{Value: r, Stack: string(stack[:min(len(stack), maxStack)])}
			}
		}()
		return next(m)
	}
}
