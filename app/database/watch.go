package database

import (
	"context"
	"sync"
	"time"
)

// watchEvery is how often a SQLite file is asked whether another process
// committed: one pragma of about 10 µs.
const watchEvery = 5 * time.Millisecond

// watcher tells subscribers that somebody committed something new.
type watcher struct {
	mu     sync.Mutex
	subs   map[chan struct{}]struct{}
	cancel context.CancelFunc
	done   chan struct{}
}

// Changes returns a channel that receives after [DB.Notify], and on SQLite
// after another process committed; on PostgreSQL listeners poll for what
// others do. Several changes may be told as one; none is left untold. The
// caller calls stop when it no longer listens.
func (db *DB) Changes() (changes <-chan struct{}, stop func()) {
	ch := make(chan struct{}, 1)
	w := db.watch
	w.mu.Lock()
	w.subs[ch] = struct{}{}
	w.mu.Unlock()
	return ch, func() {
		w.mu.Lock()
		delete(w.subs, ch)
		w.mu.Unlock()
	}
}

// Notify tells those who listen to Changes in this process. Writers of this
// process call it when what they committed is of interest to them.
func (db *DB) Notify() { db.watch.tell() }

func (w *watcher) tell() {
	w.mu.Lock()
	defer w.mu.Unlock()
	for ch := range w.subs {
		select {
		case ch <- struct{}{}:
		default: // one is waiting there already
		}
	}
}

func startWatcher(db *DB) *watcher {
	ctx, cancel := context.WithCancel(context.Background())
	w := &watcher{subs: map[chan struct{}]struct{}{}, cancel: cancel, done: make(chan struct{})}
	if db.driver != SQLite {
		close(w.done)
		return w
	}
	go func() {
		defer close(w.done)
		tick := time.NewTicker(watchEvery)
		defer tick.Stop()
		var last int64
		var looked time.Time // at the file
		for {
			select {
			case <-ctx.Done():
				return
			case <-tick.C:
			}
			if time.Since(looked) >= fileEvery {
				looked = time.Now()
				_ = db.file.check() // WaitFileGone tells of it
			}
			// Asked on the writer's connection, the version moves with
			// other processes' commits alone, and not with our own.
			var version int64
			if err := db.write.QueryRowContext(ctx, "PRAGMA data_version").Scan(&version); err != nil {
				continue // whoever uses the database next reports it
			}
			if version != last {
				last = version
				w.tell()
			}
		}
	}()
	return w
}

func (w *watcher) close() {
	w.cancel()
	<-w.done
}
