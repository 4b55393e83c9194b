package relay

import (
	"context"
	"database/sql"
	"fmt"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/answerfeed/answerfeed/app/database"
)

// search is what a round is to claim.
type search struct {
	fresh, again bool
	above        int64
	resting      string // topics, a JSON array
}

// round is one transaction: it settles what has ended since the last, and
// claims what there is room for. After an error nothing has changed, and the
// next round settles it.
func (r *Relay) round(ctx context.Context, intake bool) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), roundWithin)
	defer cancel()
	if !r.statements.prepared() {
		var err error
		if r.statements, err = prepare(r.opts.DB); err != nil {
			return err
		}
	}
	start := time.Now()
	var s search
	if intake && r.away.IsZero() && r.room() && !start.Before(r.lookAt) {
		var err error
		if s, err = r.look(ctx, start); err != nil {
			return err
		}
	}
	if !s.fresh && !s.again && len(r.settled) == 0 {
		return nil
	}
	var fresh, again []row
	limit := min(claimRows, window-r.rows)
	// What is lost to a power cut comes again.
	err := r.opts.DB.Update(ctx, database.Relaxed, func(ctx context.Context, tx *sql.Tx) (err error) {
		if err := r.settle(ctx, tx); err != nil {
			return fmt.Errorf("settling %d parcels: %w", len(r.settled), err)
		}
		if s.fresh {
			if fresh, err = r.claim(ctx, tx, r.statements.fresh, limit, s.above, s.resting); err != nil {
				return fmt.Errorf("claiming events: %w", err)
			}
		}
		if left := limit - len(fresh); s.again && left > 0 {
			if again, err = r.claim(ctx, tx, r.statements.again, left); err != nil {
				return fmt.Errorf("claiming events to be tried again: %w", err)
			}
		}
		return nil
	})
	if err != nil {
		return err
	}
	r.settled, r.topics.well = nil, nil
	if s.fresh {
		r.searched(start, fresh, limit)
	}
	r.dispatch(append(fresh, again...), start.Add(r.opts.Lease*2/3))
	return nil
}

// look asks, without a write transaction, whether there is something to claim.
func (r *Relay) look(ctx context.Context, now time.Time) (search, error) {
	s := search{above: r.scan.above(now)}
	var err error
	if s.resting, err = r.topics.resting(now); err != nil {
		return s, err
	}
	if err := r.statements.look.QueryRowContext(ctx, s.above, s.resting).Scan(&s.fresh, &s.again); err != nil {
		return s, fmt.Errorf("looking for events: %w", err)
	}
	if !s.fresh {
		r.searched(now, nil, claimRows)
	}
	return s, nil
}

// searched says when to look next.
func (r *Relay) searched(start time.Time, rows []row, limit int) {
	var highest, bytes int64
	for _, row := range rows {
		highest = max(highest, row.id)
		bytes += row.size
	}
	cut := len(rows) == limit || bytes >= claimBytes
	r.scan.searched(start, highest, cut)
	now := time.Now()
	if len(rows) > 0 {
		r.busy = now
	}
	switch {
	case cut:
		r.lookAt = time.Time{}
	case now.Sub(r.busy) < busyFor:
		r.lookAt = now.Add(pollBusy)
	default:
		r.lookAt = now.Add(pollIdle)
	}
}

// claim takes rows, at most limit; more are the condition's arguments.
func (r *Relay) claim(ctx context.Context, tx *sql.Tx, stmt *sql.Stmt, limit int, more ...any) ([]row, error) {
	args := append([]any{limit, int64(claimBytes), r.opts.Lease.Microseconds(), r.token}, more...)
	result, err := tx.StmtContext(ctx, stmt).QueryContext(ctx, args...)
	if err != nil {
		return nil, err
	}
	defer result.Close()
	var rows []row
	for result.Next() {
		var c row
		var uuid, metadata string
		var payload []byte
		if err := result.Scan(&c.id, &c.tries, &c.topic, &uuid, &metadata, &payload); err != nil {
			return nil, err
		}
		c.size, c.message = int64(len(payload)), newMessage(uuid, metadata, payload)
		rows = append(rows, c)
	}
	return rows, result.Err()
}

// settle writes what became of the parcels. The token keeps a relay that was
// too slow from touching rows that another has by now.
func (r *Relay) settle(ctx context.Context, tx *sql.Tx) error {
	var sent, back idList
	for _, o := range r.settled {
		switch {
		case o.unsent:
			back.add(o.rows)
		case o.err == nil:
			sent.add(o.rows)
		default:
			var ids idList
			ids.add(o.rows)
			_, err := tx.StmtContext(ctx, r.statements.putOff).ExecContext(ctx, ids.json(), r.token, o.retryIn().Microseconds(), why(o.err))
			if err != nil {
				return err
			}
		}
	}
	if sent.any() {
		if _, err := tx.StmtContext(ctx, r.statements.sent).ExecContext(ctx, sent.json(), r.token); err != nil {
			return err
		}
	}
	if back.any() {
		if _, err := tx.StmtContext(ctx, r.statements.back).ExecContext(ctx, back.json(), r.token); err != nil {
			return err
		}
	}
	for _, topic := range r.topics.well {
		if _, err := tx.StmtContext(ctx, r.statements.wake).ExecContext(ctx, topic); err != nil {
			return err
		}
	}
	return nil
}

// maxWhy is the length of last_error.
const maxWhy = 500

// why is an error as the table keeps it.
func why(err error) string {
	text := strings.ReplaceAll(strings.ToValidUTF8(err.Error(), "?"), "\x00", "?")
	if len(text) > maxWhy {
		text = text[:maxWhy]
		for !utf8.ValidString(text) {
			text = text[:len(text)-1]
		}
	}
	return text
}

// idList writes ids as a JSON array, the form in which a list is one
// parameter.
type idList struct{ b strings.Builder }

func (l *idList) add(rows []row) {
	for _, row := range rows {
		sep := byte(',')
		if l.b.Len() == 0 {
			sep = '['
		}
		l.b.WriteByte(sep)
		l.b.WriteString(strconv.FormatInt(row.id, 10))
	}
}

func (l *idList) any() bool { return l.b.Len() > 0 }

func (l *idList) json() string { return l.b.String() + "]" }
