package middleware

import (
	"runtime/debug"

	"github.com/ThreeDotsLabs/watermill/message"

	"github.com/answerfeed/answerfeed/app/failure"
)

// maxStack is the most bytes of a stack that are kept: the headers of a dead
// letter must fit into one frame of the broker.
const maxStack = 2 << 10

// Recover turns a panic of the handler into a [failure.Panicked]. [Timeout]
// handles runtime.Goexit, which ends the goroutine without a panic.
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
