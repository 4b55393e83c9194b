package handlers_test

import (
	"context"
	"errors"
	"fmt"

	"github.com/answerfeed/answerfeed/app/event"
	"github.com/answerfeed/answerfeed/app/failure"
	"github.com/answerfeed/answerfeed/handlers"
)

// A topic with the decoder of its events and a typed function. An event that
// cannot be decoded is a permanent failure: a dead letter at once.
func ExampleOn() {
	topic := handlers.On(event.TopicAnswerAdded, event.DecodeAnswerAdded, func(_ context.Context, e event.AnswerAdded) error {
		fmt.Println("thanks to", e.AuthorID)
		return nil
	})
	ctx := context.Background()
	fmt.Println(topic.Handle(ctx, []byte(`{"answer_id":"sky-1","question_id":"sky","author_id":"bob","occurred_at":"2026-01-02T03:09:00Z"}`)))

	err := topic.Handle(ctx, []byte(`{"answer_id":7}`))
	var verdict *failure.Verdict
	fmt.Println(errors.As(err, &verdict), verdict.Reason)
	// Output:
	// thanks to bob
	// <nil>
	// true invalid
}
