package app_test

import (
	"context"
	"errors"
	"fmt"
	"log"
	"log/slog"
	"os"
	"path/filepath"

	"github.com/ThreeDotsLabs/watermill/message"

	"github.com/answerfeed/answerfeed/app"
	"github.com/answerfeed/answerfeed/app/event"
	"github.com/answerfeed/answerfeed/config"
	"github.com/answerfeed/answerfeed/handlers"
)

// exampleOptions are those of a worker on a new SQLite file.
func exampleOptions(all ...handlers.Handler) (opts app.Options, remove func()) {
	dir, err := os.MkdirTemp("", "example")
	if err != nil {
		log.Fatal(err)
	}
	file := filepath.Join(dir, "worker.db")
	loaded, err := config.Load(config.Options{
		Environ:   []string{},
		Handlers:  app.Declare(all),
		Overrides: map[string]any{"transport.sql.dsn": file, "database.dsn": file, "web.listen": "127.0.0.1:0"},
	})
	if err != nil {
		log.Fatal(err)
	}
	opts = app.Options{Config: loaded.Config, Handlers: all, Logger: slog.New(slog.DiscardHandler)}
	return opts, func() { _ = os.RemoveAll(dir) }
}

// A worker with one handler, on the embedded default. A client publishes an
// answer; the worker ends when it was handled.
func ExampleRun() {
	ctx, stop := context.WithCancel(context.Background())
	defer stop()
	opts, remove := exampleOptions(handlers.Handler{
		Name: "thank",
		Topics: func(handlers.Env) []handlers.Topic {
			return []handlers.Topic{handlers.On(event.TopicAnswerAdded, event.DecodeAnswerAdded, func(_ context.Context, e event.AnswerAdded) error {
				fmt.Println("thanks to", e.AuthorID)
				stop()
				return nil
			})}
		},
	})
	defer remove()

	client, err := app.Open(ctx, opts) // makes the tables and the queues, so that the answer finds one
	if err != nil {
		fmt.Println(err)
		return
	}
	payload := []byte(`{"answer_id":"sky-1","question_id":"sky","author_id":"bob","occurred_at":"2026-01-02T03:09:00Z"}`)
	err = client.Publisher().Publish(event.TopicAnswerAdded, message.NewMessage("0198", payload))
	fmt.Println(errors.Join(err, client.Close()))
	fmt.Println(app.Run(ctx, opts))
	// Output:
	// <nil>
	// thanks to bob
	// <nil>
}
