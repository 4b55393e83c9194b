package app

import (
	"context"
	"slices"
	"sync"

	"github.com/answerfeed/answerfeed/app/database"
)

// watchFiles calls gone for each SQLite file that is replaced or removed until
// ctx ends, from goroutines that wg waits for.
func (c *Client) watchFiles(ctx context.Context, wg *sync.WaitGroup, gone func(error)) {
	for _, db := range slices.Compact([]*database.DB{c.db, c.queueDB}) {
		if db == nil {
			continue
		}
		wg.Go(func() {
			if err := db.WaitFileGone(ctx); err != nil {
				gone(err)
			}
		})
	}
}
