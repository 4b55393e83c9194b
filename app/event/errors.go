package event

// The values of Error.Reason. They are few and fixed, fit for a metric's label.
const (
	ReasonMalformed = "malformed" // not one JSON object in valid UTF-8
	ReasonInvalid   = "invalid"   // a JSON object that breaks the contract
	ReasonTooLarge  = "too-large" // beyond MaxPayload or MaxMetadata
)

// Error tells why a payload or metadata breaks the contract. It never holds any part of them, so that it may be logged and shown.
// Every error of this package is an *Error.
type Error struct {
	Reason  string // one of the Reason constants
	Field   string // the member's name as on the wire, or "metadata"; "" when it is the payload as a whole
	Problem string // what is wrong, such as "longer than 300 characters"
}

// Error returns a text such as "invalid event: title: longer than 300 characters".
func (e *Error) Error() string {
	text := e.Reason + " event: "
	if e.Field != "" {
		text += e.Field + ": "
	}
	return text + e.Problem
}

func malformed(problem string) error { return &Error{Reason: ReasonMalformed, Problem: problem} }

func invalid(field, problem string) error {
	return &Error{Reason: ReasonInvalid, Field: field, Problem: problem}
}

func tooLarge(field, problem string) error {
	return &Error{Reason: ReasonTooLarge, Field: field, Problem: problem}
}
