package app

import (
	"context"

	"github.com/answerfeed/answerfeed/handlers"
)

// On joins a topic, the decoder of its events, and a typed function, for a
// handler from outside with an event of its own. See [handlers.On].
func On[T any](topic string, decode func([]byte) (T, error), fn func(context.Context, T) error) handlers.Topic {
	return handlers.On(topic, decode, fn)
}
