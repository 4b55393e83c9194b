package cli_test

import (
	"context"

	"github.com/answerfeed/answerfeed/app"
	"github.com/answerfeed/answerfeed/app/cli"
	"github.com/answerfeed/answerfeed/app/event"
	"github.com/answerfeed/answerfeed/handlers"
)

// A program with one handler more than the worker. It has every verb of the
// worker: run, publish, backlog, deadletters, config check and the others.
func ExampleMain() {
	greet := handlers.Handler{
		Name: "greet",
		Topics: func(handlers.Env) []handlers.Topic {
			return []handlers.Topic{app.On(event.TopicAnswerAdded, event.DecodeAnswerAdded, func(ctx context.Context, e event.AnswerAdded) error {
				return nil // greet the author of the first answer
			})}
		},
	}
	cli.Main(append(handlers.All(), greet)...)
}
