package failure_test

import (
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"time"

	"github.com/answerfeed/answerfeed/app/failure"
)

// A handler says that a message can never succeed: the message becomes a dead letter at once.
func ExamplePermanent() {
	err := failure.Permanent("no-such-author", errors.New("author 7 does not exist"))
	verdict := failure.Classify(err)
	fmt.Println(verdict.Kind, verdict.Reason)
	// Output: permanent no-such-author
}

// A handler asks for a later attempt, and names the least delay.
func ExampleTransientAfter() {
	err := failure.TransientAfter(errors.New("the index is being rebuilt"), time.Minute)
	verdict := failure.Classify(err)
	fmt.Println(verdict.Kind, verdict.RetryAfter)
	// Output: transient 1m0s
}

// The answer of a service becomes a verdict, with the delay that the service asks for.
func ExampleFromHTTP() {
	service := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Retry-After", "120")
		w.WriteHeader(http.StatusTooManyRequests)
	}))
	defer service.Close()
	response, err := http.Get(service.URL)
	if err != nil {
		fmt.Println(err)
		return
	}
	defer response.Body.Close()
	verdict := failure.Classify(failure.FromHTTP(response))
	fmt.Println(verdict.Kind, verdict.RetryAfter)
	// Output: transient 2m0s
}
