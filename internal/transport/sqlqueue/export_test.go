package sqlqueue

import "context"

// Tidy does the housekeeping at once.
func (t *Transport) Tidy(ctx context.Context) error { return t.keeper.tidy(ctx) }
