package transport

import (
	"errors"
	"fmt"
)

// Why messages are not published, beside [ErrNoQueue] and [ErrClosed]. The
// broker's own words are in the error around them.
var (
	// ErrUnpublishable: the message itself is at fault, and no other is. It
	// will not be taken later either, unless the broker's settings change.
	ErrUnpublishable = errors.New("the message cannot be published")
	// ErrTooLarge is an ErrUnpublishable: the broker takes no message, or no
	// metadata, of that size.
	ErrTooLarge = fmt.Errorf("%w: it is too large", ErrUnpublishable)
	// ErrRefused: a queue takes no messages, as one does that is full. Other
	// queues of the topic may have the message.
	ErrRefused = errors.New("a queue refuses messages")
	// ErrForbidden: the broker's user may not publish there.
	ErrForbidden = errors.New("publishing is not permitted")
	// ErrBlocked: the broker takes no messages from anybody for now.
	ErrBlocked = errors.New("the broker takes no messages for now")
)

// Unpublished is a message that is not known to be published.
type Unpublished struct {
	// Index is its place among the messages that Publish was given.
	Index int
	Err   error
}

// PublishError tells which messages of a Publish are not known to be
// published, in their order; all others are safe.
type PublishError struct {
	Unpublished []Unpublished // at least one
	Total       int           // as many as Publish was given
}

// Error tells the first reason.
func (e *PublishError) Error() string {
	first := e.Unpublished[0]
	if e.Total == 1 {
		return first.Err.Error()
	}
	return fmt.Sprintf("%d of %d are not published; number %d: %v", len(e.Unpublished), e.Total, first.Index+1, first.Err)
}

// Unwrap returns the reason of each.
func (e *PublishError) Unwrap() []error {
	errs := make([]error, len(e.Unpublished))
	for i, u := range e.Unpublished {
		errs[i] = u.Err
	}
	return errs
}

// Outcomes tells what became of each of n messages by the error of their
// Publish: nil for those that are published. An error that tells nothing of
// single messages is that of all.
func Outcomes(err error, n int) []error {
	outcomes := make([]error, n)
	if err == nil {
		return outcomes
	}
	var each *PublishError
	if errors.As(err, &each) && each.Total == n {
		for _, u := range each.Unpublished {
			outcomes[u.Index] = u.Err
		}
		return outcomes
	}
	for i := range outcomes {
		outcomes[i] = err
	}
	return outcomes
}
