package middleware

import "context"

// Outcome is how a delivery ended.
type Outcome string

// The outcomes: labels of a metric.
const (
	Handled      Outcome = "handled"
	Redelivered  Outcome = "redelivered" // put back, with a delay
	DeadLettered Outcome = "dead-letter"
	Returned     Outcome = "returned" // interrupted, or could not be made safe
	Dropped      Outcome = "dropped"  // failed, with at-most-once
)

type outcomeKey struct{}

// withOutcome gives inner middleware a place to say how it ended what it
// answers with success.
func withOutcome(ctx context.Context, o *Outcome) context.Context {
	return context.WithValue(ctx, outcomeKey{}, o)
}

func setOutcome(ctx context.Context, o Outcome) {
	if p, ok := ctx.Value(outcomeKey{}).(*Outcome); ok {
		*p = o
	}
}
