package event_test

import (
	"errors"
	"fmt"
	"time"

	"github.com/answerfeed/answerfeed/app/event"
)

// A producer encodes an event, and a consumer decodes it.
func ExampleAnswerAdded_Encode() {
	payload, err := event.AnswerAdded{
		AnswerID: "sky-1", QuestionID: "sky", AuthorID: "bob",
		OccurredAt: time.Date(2026, 1, 2, 3, 9, 0, 0, time.UTC),
	}.Encode()
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(string(payload))
	e, err := event.DecodeAnswerAdded(payload)
	fmt.Println(e.AnswerID, err)
	// Output:
	// {"answer_id":"sky-1","question_id":"sky","author_id":"bob","occurred_at":"2026-01-02T03:09:00.000000Z"}
	// sky-1 <nil>
}

// A payload that breaks the contract names the field, never its content.
func ExampleValidate() {
	err := event.Validate(event.TopicAnswerAdded, []byte(`{"answer_id":"sky-1","question_id":7}`))
	var broken *event.Error
	if errors.As(err, &broken) {
		fmt.Println(broken.Reason, broken.Field)
	}
	// Output: invalid question_id
}

// An event_id makes two payloads the same message. Without one the UUID does.
func ExampleIdentity() {
	fmt.Println(event.Identity([]byte(`{"event_id":"e-17"}`), "0198"))
	fmt.Println(event.Identity([]byte(`{}`), "0198"))
	// Output:
	// e-17
	// 0198
}
