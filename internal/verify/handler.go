package verify

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"hash/fnv"
	"io"
	"sync"
	"time"

	"github.com/answerfeed/answerfeed/app/database"
	"github.com/answerfeed/answerfeed/app/event"
	"github.com/answerfeed/answerfeed/app/failure"
)

// maxPause is the longest that the handler takes for an event, so that there
// is work in flight whenever a process dies.
const maxPause = 20 * time.Millisecond

// Reasons of the letters.
const (
	reasonIncurable failure.Reason = "verify-incurable"
	reasonCurable   failure.Reason = "verify-curable"
)

// Handler is what a process of the run does with events.
type Handler struct {
	db                 *database.DB
	delivered, handled io.Writer // a byte for each; they outlive the process

	mu   sync.Mutex
	seen map[int]bool // flaky events that failed here
}

// NewHandler returns the handler of one process. delivered and handled get one
// byte for each delivery, and for each that took effect.
func NewHandler(db *database.DB, delivered, handled io.Writer) *Handler {
	return &Handler{db: db, delivered: delivered, handled: handled, seen: map[int]bool{}}
}

// Handle lets one event take effect, or fail as its kind has it.
func (h *Handler) Handle(ctx context.Context, payload []byte) error {
	id := event.Identity(payload, "")
	i, ok := parse(id)
	if !ok {
		return failure.Permanent(failure.Invalid, errors.New("this is no event of the run"))
	}
	if _, err := h.delivered.Write([]byte{'.'}); err != nil {
		return fmt.Errorf("counting deliveries: %w", err)
	}
	if err := pause(ctx, pauseOf(id)); err != nil {
		return err
	}
	switch i.kind {
	case plain:
	case flaky:
		if h.first(i.number) {
			return failure.Transient(errors.New("it fails for the moment, as it is meant to"))
		}
	case incurable:
		return failure.Permanent(reasonIncurable, errors.New("it fails for good, as it is meant to"))
	case curable:
		cured, err := isCured(ctx, h.db)
		if err != nil {
			return fmt.Errorf("asking whether it is cured: %w", err)
		}
		if !cured {
			return failure.Permanent(reasonCurable, errors.New("it fails until it is cured, as it is meant to"))
		}
	default:
		return failure.Permanent(failure.Invalid, errors.New("this is no event of the run"))
	}
	err := h.db.Once(ctx, HandlerName, Topic, id, func(ctx context.Context, tx *sql.Tx) error {
		_, err := tx.ExecContext(ctx, h.db.SQL(insertEffect), id)
		return err
	})
	if err != nil {
		return fmt.Errorf("writing an effect: %w", err)
	}
	if _, err := h.handled.Write([]byte{'.'}); err != nil {
		return fmt.Errorf("counting effects: %w", err)
	}
	return nil
}

// Converge lets one event take effect without the inbox, whatever its kind.
func (h *Handler) Converge(ctx context.Context, payload []byte) error {
	id := event.Identity(payload, "")
	if _, ok := parse(id); !ok {
		return failure.Permanent(failure.Invalid, errors.New("this is no event of the run"))
	}
	if err := pause(ctx, pauseOf(id)); err != nil {
		return err
	}
	err := h.db.Update(ctx, database.Durable, func(ctx context.Context, tx *sql.Tx) error {
		_, err := tx.ExecContext(ctx, h.db.SQL(converge), id)
		return err
	})
	if err != nil {
		return fmt.Errorf("writing an effect that converges: %w", err)
	}
	return nil
}

func (h *Handler) first(number int) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	first := !h.seen[number]
	h.seen[number] = true
	return first
}

// pauseOf is how long an event takes, the same each time.
func pauseOf(id string) time.Duration {
	hash := fnv.New64a()
	_, _ = hash.Write([]byte(id)) // never fails
	return time.Duration(hash.Sum64() % uint64(maxPause))
}

// pause returns early, with its error, when ctx ends.
func pause(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
