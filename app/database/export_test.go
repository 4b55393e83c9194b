package database

import "time"

// Pending is how many items wait for the next commit.
func (b *Batcher[T]) Pending() int {
	b.mu.Lock()
	defer b.mu.Unlock()
	return len(b.pending)
}

// Ahead moves the clock that the database's users see.
func (db *DB) Ahead(by time.Duration) { db.ahead = by }
