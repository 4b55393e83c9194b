package middleware

import (
	"context"
	"time"
)

// Outcome is how a delivery ended.
type Outcome string

// The outcomes: labels of a metric.
const (
	Handled      Outcome = "handled"
	Redelivered  Outcome = "redelivered" // put back, with a delay
	DeadLettered Outcome = "dead-letter"
	Returned     Outcome = "returned" // interrupted, or could not be stored elsewhere
	Dropped      Outcome = "dropped"  // failed, with at-most-once
)

// delivery is what the middlewares share about one delivery: when it began, and
// the outcome of a message for which the handler chain returns success.
type delivery struct {
	began   time.Time
	outcome Outcome
}

type deliveryKey struct{}

func withDelivery(ctx context.Context, d *delivery) context.Context {
	return context.WithValue(ctx, deliveryKey{}, d)
}

func deliveryOf(ctx context.Context) *delivery {
	d, _ := ctx.Value(deliveryKey{}).(*delivery)
	return d
}

func setOutcome(ctx context.Context, o Outcome) {
	if d := deliveryOf(ctx); d != nil {
		d.outcome = o
	}
}
