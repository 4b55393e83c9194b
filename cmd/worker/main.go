// Command worker is the consumer's side of a question-and-answer site: it
// takes events from a SQL table or RabbitMQ and makes them take effect.
//
// The one thing to know: the verbs are in package cli, which a program with
// handlers of its own calls in the same way.
package main

import (
	"github.com/answerfeed/answerfeed/app/cli"
	"github.com/answerfeed/answerfeed/handlers"
)

func main() { cli.Main(handlers.All()...) }
