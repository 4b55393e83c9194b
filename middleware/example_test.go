package middleware_test

import (
	"errors"
	"fmt"

	"github.com/ThreeDotsLabs/watermill/message"

	"github.com/answerfeed/answerfeed/app/failure"
	"github.com/answerfeed/answerfeed/middleware"
)

// A panic of a handler becomes an error, which the middleware around Recover then judges. Each
// middleware is a Watermill middleware and also works in a router of one's own.
func ExampleRecover() {
	handle := middleware.Recover(func(*message.Message) ([]*message.Message, error) { panic("boom") })
	_, err := handle(message.NewMessage("0198", []byte("{}")))
	var panicked *failure.Panicked
	if errors.As(err, &panicked) {
		fmt.Println(panicked.Value)
	}
	// Output: boom
}

// A message that no handler should have to expect never reaches the handler.
func ExampleLimits() {
	handle := middleware.Limits(func(*message.Message) ([]*message.Message, error) {
		fmt.Println("handled")
		return nil, nil
	})
	_, err := handle(message.NewMessage("0198", make([]byte, 2<<20)))
	fmt.Println(err)
	// Output: the payload has 2097152 bytes; at most 1048576 are allowed
}
