package verify

import (
	"context"
	"fmt"

	"github.com/answerfeed/answerfeed/internal/deadletter"
)

// Requeue sends the letters of curable events back, in a process of its own,
// which may be killed at it.
func Requeue(ctx context.Context, desk *deadletter.Desk) error {
	_, err := desk.Requeue(ctx, deadletter.Selection{Filter: deadletter.Filter{Handler: HandlerName, Reason: string(reasonCurable)}}, deadletter.Options{})
	if err != nil {
		return fmt.Errorf("requeuing the curable letters: %w", err)
	}
	return nil
}
