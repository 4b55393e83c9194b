// Package failure says what an error means for the message that met it.
//
// A handler may say it itself, with [Permanent] or [Transient]; what drivers
// and the network report is recognised by [Classify]; anything else is
// [Unknown], and the handler's configuration decides (on_unknown).
package failure

import (
	"errors"
	"fmt"
	"time"
)

// Kind is what happens next to a message that failed.
type Kind int

const (
	// KindUnknown: nobody said; dead letter or retry, as configured.
	KindUnknown Kind = iota
	// KindTransient: tried again, quickly and then after growing delays.
	KindTransient
	// KindPermanent: a dead letter at once.
	KindPermanent
)

func (k Kind) String() string {
	switch k {
	case KindTransient:
		return "transient"
	case KindPermanent:
		return "permanent"
	}
	return "unknown"
}

// Reason is a short, fixed word for why a message failed: a metric's label
// and a field of its dead letter.
type Reason string

// The reasons that the worker itself gives. Handlers may give others, of the
// same form: [a-z0-9-]{1,60}.
const (
	Malformed Reason = "malformed" // the payload or the metadata cannot be read
	Invalid   Reason = "invalid"   // it can be read, and breaks the contract
	TooLarge  Reason = "too-large" // over the size that a message may have
	Rejected  Reason = "rejected"  // the handler refused it for ever
	Unknown   Reason = "unknown"   // an error without a verdict
	Panic     Reason = "panic"     // the handler panicked
	Timeout   Reason = "timeout"   // the attempt took too long
	Database  Reason = "database"  // the database could not be used for now
	Network   Reason = "network"   // a connection failed
	Resources Reason = "resources" // memory, disk or descriptors ran out
	Upstream  Reason = "upstream"  // a service asked to come again
	Temporary Reason = "temporary" // the handler said so
)

// Verdict is an error with what it means.
type Verdict struct {
	Kind   Kind
	Reason Reason
	// RetryAfter is the least delay before the next attempt of a transient
	// failure; 0 = as scheduled.
	RetryAfter time.Duration
	Err        error
}

func (v *Verdict) Error() string { return v.Err.Error() }

// Unwrap returns the error that was judged.
func (v *Verdict) Unwrap() error { return v.Err }

// Permanent says that err will come again however often the message is
// tried: the message becomes a dead letter at once, with this reason.
// A nil err stays nil.
func Permanent(reason Reason, err error) error {
	if err == nil {
		return nil
	}
	return &Verdict{Kind: KindPermanent, Reason: reason, Err: err}
}

// Transient says that err may heal by itself: the message is tried again.
// A nil err stays nil.
func Transient(err error) error {
	if err == nil {
		return nil
	}
	return &Verdict{Kind: KindTransient, Reason: Temporary, Err: err}
}

// TransientAfter is Transient with the least delay before the next attempt.
func TransientAfter(err error, delay time.Duration) error {
	if err == nil {
		return nil
	}
	return &Verdict{Kind: KindTransient, Reason: Temporary, RetryAfter: delay, Err: err}
}

// Panicked is the error of a handler that panicked.
type Panicked struct {
	Value any
	// Stack is where it happened, cut to a length that a header can hold.
	Stack string
}

func (p *Panicked) Error() string { return fmt.Sprintf("panic: %v\n%s", p.Value, p.Stack) }

// Classify returns the verdict on err: the one that was given, or the one
// that its type is recognised by. It never returns nil for a non-nil error.
func Classify(err error) *Verdict {
	if err == nil {
		return nil
	}
	var given *Verdict
	if errors.As(err, &given) {
		return &Verdict{Kind: given.Kind, Reason: given.Reason, RetryAfter: given.RetryAfter, Err: err}
	}
	var panicked *Panicked
	if errors.As(err, &panicked) {
		return &Verdict{Kind: KindUnknown, Reason: Panic, Err: err}
	}
	kind, reason := recognise(err)
	return &Verdict{Kind: kind, Reason: reason, Err: err}
}
