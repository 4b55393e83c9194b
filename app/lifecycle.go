package app

import (
	"context"
	"errors"
	"slices"
)

// lifecycle is a stack of what was opened. Each teardown is pushed on the
// line after its part was acquired; close runs them last-in first-out.
type lifecycle struct {
	steps []func(context.Context) error
}

func (l *lifecycle) push(step func(context.Context) error) { l.steps = append(l.steps, step) }

// closing pushes the teardown of a part that needs no context.
func (l *lifecycle) closing(step func() error) {
	l.push(func(context.Context) error { return step() })
}

// then pushes a teardown that cannot fail.
func (l *lifecycle) then(step func()) {
	l.push(func(context.Context) error { step(); return nil })
}

func (l *lifecycle) close(ctx context.Context) error {
	var errs []error
	for _, step := range slices.Backward(l.steps) {
		errs = append(errs, step(ctx))
	}
	l.steps = nil
	return errors.Join(errs...)
}
