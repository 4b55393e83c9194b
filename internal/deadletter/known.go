package deadletter

import (
	"context"
	"fmt"
)

// Known returns the handlers and topics of which there is a letter, or was one
// in the last 30 days.
func (d *Desk) Known(ctx context.Context) ([]Queue, error) {
	rows, err := d.db.Read().QueryContext(ctx, `SELECT DISTINCT handler, topic FROM dead_letter_groups ORDER BY handler, topic`)
	if err != nil {
		return nil, fmt.Errorf("looking for handlers with dead letters: %w", err)
	}
	defer rows.Close()
	var known []Queue
	for rows.Next() {
		var q Queue
		if err := rows.Scan(&q.Handler, &q.Topic); err != nil {
			return nil, fmt.Errorf("looking for handlers with dead letters: %w", err)
		}
		known = append(known, q)
	}
	if err := rows.Err(); err != nil {
		return nil, fmt.Errorf("looking for handlers with dead letters: %w", err)
	}
	return known, nil
}
