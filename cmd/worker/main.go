// Command worker is the consumer's side of a question-and-answer site: it
// takes events from a SQL table or RabbitMQ and makes them take effect.
//
// One file a verb. The one thing to know: everything but signals and the exit
// code is behind execute, which tests call in their own process.
package main

import (
	"context"
	"os"
	"os/signal"
	"syscall"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	// The first signal begins an orderly stop; the second one kills.
	context.AfterFunc(ctx, stop)
	code := execute(ctx, os.Args[1:], streams{In: os.Stdin, Out: os.Stdout, Err: os.Stderr})
	stop()
	os.Exit(code)
}
