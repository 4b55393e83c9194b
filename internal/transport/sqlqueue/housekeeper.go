package sqlqueue

import (
	"context"
	stdsql "database/sql"
	"database/sql/driver"
	"fmt"
	"sync"
	"time"
)

const (
	// tidyEvery is how often the table's size is looked at.
	tidyEvery = time.Minute
	// roomy is the size, of the table or of its indexes, below which nothing
	// is done.
	roomy = 16 << 20
	// rowRoom is the room of a row that counts as used: several times what one
	// takes, indexes included.
	rowRoom = 16 << 10
)

// housekeeper gives back, on PostgreSQL, the room of a backlog that is gone.
// Vacuum makes it free for new messages, and cuts off the empty end of the
// table; indexes never shrink by themselves, and so does what autovacuum finds
// locked at its one moment. One of all workers does it, with an advisory lock,
// and only while the table is nearly empty: then it takes milliseconds. What
// stands at the table's very end, a message that is held or the version that
// its claim wrote there, keeps the room until it is settled.
type housekeeper struct {
	t    *Transport
	ctx  context.Context
	stop context.CancelFunc
	once sync.Once
	wg   sync.WaitGroup
}

func newHousekeeper(t *Transport) *housekeeper {
	h := &housekeeper{t: t}
	h.ctx, h.stop = context.WithCancel(context.Background())
	return h
}

// start begins the housekeeping, at the first call.
func (h *housekeeper) start() {
	h.once.Do(func() { h.wg.Go(h.run) })
}

func (h *housekeeper) close() {
	h.stop()
	h.wg.Wait()
}

func (h *housekeeper) run() {
	tick := time.NewTicker(tidyEvery)
	defer tick.Stop()
	for {
		select {
		case <-h.ctx.Done():
			return
		case <-tick.C:
		}
		// What could not be had now will be had at the next time; and that the
		// database is away is told by others.
		if err := h.tidy(h.ctx); err != nil && h.ctx.Err() == nil {
			h.t.cfg.Logger.Debug("the queue table could not be tidied up; trying again", "error", err)
		}
	}
}

// tidy does once what is to be done.
func (h *housekeeper) tidy(ctx context.Context) error {
	conn, err := h.t.db.Read().Conn(ctx)
	if err != nil {
		return fmt.Errorf("taking a connection: %w", err)
	}
	// Its settings and its lock end with the connection.
	defer conn.Raw(func(any) error { return driver.ErrBadConn }) //nolint:errcheck // that is the one it returns
	before, err := h.size(ctx, conn)
	if err != nil || !before.large() {
		return err
	}
	for _, step := range []string{"SET lock_timeout = '100ms'", "SET statement_timeout = '10min'"} {
		if _, err := conn.ExecContext(ctx, step); err != nil {
			return fmt.Errorf("preparing to tidy up: %w", err)
		}
	}
	var mine, empty bool
	if err := conn.QueryRowContext(ctx, h.t.queries.lock).Scan(&mine); err != nil || !mine {
		return wrap("asking for the lock", err)
	}
	if err := conn.QueryRowContext(ctx, h.t.queries.empty, before.total()/rowRoom).Scan(&empty); err != nil || !empty {
		return wrap("looking whether it is empty", err)
	}
	if _, err := conn.ExecContext(ctx, h.t.queries.vacuum); err != nil {
		return fmt.Errorf("vacuuming: %w", err)
	}
	// An index is built by reading the table, and writers wait for it: not
	// while the table is still long, since an old snapshot needs its rows.
	after, err := h.size(ctx, conn)
	if err != nil {
		return err
	}
	if after.table <= roomy && after.indexes > roomy {
		if _, err := conn.ExecContext(ctx, h.t.queries.reindex); err != nil {
			return fmt.Errorf("rebuilding indexes: %w", err)
		}
		if after, err = h.size(ctx, conn); err != nil {
			return err
		}
	}
	if after.total() < before.total() {
		h.t.cfg.Logger.Info("the room of a backlog that is gone was given back", "bytes", before.total()-after.total(), "left", after.total())
	}
	return nil
}

// sizes are in bytes.
type sizes struct{ table, indexes int64 }

func (s sizes) total() int64 { return s.table + s.indexes }
func (s sizes) large() bool  { return s.table > roomy || s.indexes > roomy }

func (h *housekeeper) size(ctx context.Context, conn *stdsql.Conn) (s sizes, err error) {
	err = conn.QueryRowContext(ctx, h.t.queries.size).Scan(&s.table, &s.indexes)
	return s, wrap("asking for the table's size", err)
}

func wrap(what string, err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("%s: %w", what, err)
}
