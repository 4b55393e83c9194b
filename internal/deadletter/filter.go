package deadletter

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"

	"github.com/answerfeed/answerfeed/app/database"
)

// Filter selects letters in one state. Its zero value selects all that are
// dead.
type Filter struct {
	Handler, Topic, Reason, Fingerprint string // "" = any
	// Since and Until bound LastFailedAt: from Since on, and before Until.
	// Zero = no bound.
	Since, Until time.Time
	// Text is looked for, in any case, in error, identity, correlation id,
	// metadata and payload. No index helps: it goes through what the rest of
	// the filter selects. "" = any.
	Text string
	// State defaults to Dead.
	State State
}

// ErrFilter: the filter or the cursor cannot be used.
var ErrFilter = errors.New("cannot be used")

// Validate reports, as [ErrFilter], what selects nothing by mistake.
func (f Filter) Validate() error {
	switch f.State {
	case "", Dead, Requeued, Discarded:
	default:
		return fmt.Errorf("state %q %w; there is %s, %s and %s", f.State, ErrFilter, Dead, Requeued, Discarded)
	}
	if !f.Since.IsZero() && !f.Until.IsZero() && !f.Since.Before(f.Until) {
		return fmt.Errorf("since and until %w: nothing is between them", ErrFilter)
	}
	return nil
}

// String describes the filter, for the audit.
func (f Filter) String() string {
	var parts []string
	add := func(name, value string) {
		if value != "" {
			parts = append(parts, name+"="+strconv.Quote(value))
		}
	}
	add("handler", f.Handler)
	add("topic", f.Topic)
	add("reason", f.Reason)
	add("fingerprint", f.Fingerprint)
	if !f.Since.IsZero() {
		add("since", f.Since.UTC().Format(time.RFC3339Nano))
	}
	if !f.Until.IsZero() {
		add("until", f.Until.UTC().Format(time.RFC3339Nano))
	}
	add("text", f.Text)
	if len(parts) == 0 {
		return "all"
	}
	return strings.Join(parts, " ")
}

// position is a place in the order of listing: behind the letter id, which
// failed last at that time.
type position struct {
	at int64 // microseconds
	id string
}

// newest is before all letters.
func newest() position { return position{at: math.MaxInt64} }

func (p position) cursor() string {
	return base64.RawURLEncoding.EncodeToString([]byte(strconv.FormatInt(p.at, 10) + " " + p.id))
}

// parseCursor is the inverse of cursor; "" is the newest.
func parseCursor(s string) (position, error) {
	if s == "" {
		return newest(), nil
	}
	b, err := base64.RawURLEncoding.DecodeString(s)
	if err == nil {
		at, id, ok := strings.Cut(string(b), " ")
		if n, err := strconv.ParseInt(at, 10, 64); ok && err == nil && id == text(id) {
			return position{n, id}, nil
		}
	}
	return position{}, fmt.Errorf("the cursor %w: it is none that a list returned", ErrFilter)
}

// equal names the columns that the filter compares, in the order of the
// indexes, with their values. Fingerprints imply handler and reason.
func (f Filter) equal() (columns []string, values []any) {
	all := []struct{ column, value string }{{"handler", f.Handler}, {"topic", f.Topic}, {"reason", f.Reason}}
	if f.Fingerprint != "" {
		all = []struct{ column, value string }{{"fingerprint", f.Fingerprint}, {"topic", f.Topic}}
	}
	for _, e := range all {
		if e.value != "" {
			columns = append(columns, e.column)
			values = append(values, text(e.value))
		}
	}
	return columns, values
}

func (f Filter) state() State {
	if f.State == "" {
		return Dead
	}
	return f.State
}

// index is the one that has the filter's letters in a row, newest first.
func (f Filter) index() string {
	equal, _ := f.equal()
	if len(equal) == 0 {
		return "dead_letters_newest"
	}
	return "dead_letters_" + strings.Join(equal, "_")
}

// query reads columns of the letters behind from, newest first.
func (f Filter) query(d dialect, columns string, from position, limit int) (string, []any) {
	if !f.Until.IsZero() && f.Until.UnixMicro() <= from.at {
		from = position{at: f.Until.UnixMicro()}
	}
	since := int64(math.MinInt64)
	if !f.Since.IsZero() {
		since = f.Since.UnixMicro()
	}
	q := `SELECT ` + columns + ` FROM dead_letters`
	if d.indexed != "" {
		q += d.indexed + f.index()
	}
	q += ` WHERE state = $1`
	args := []any{string(f.state())}
	equal, values := f.equal()
	for i, column := range equal {
		args = append(args, values[i])
		q += ` AND ` + column + ` = $` + strconv.Itoa(len(args))
	}
	args = append(args, since, from.at, from.id, limit)
	n := len(args)
	return q + fmt.Sprintf(` AND (last_failed_at, id) >= ($%d, '') AND (last_failed_at, id) < ($%d, $%d)
		ORDER BY last_failed_at DESC, id DESC LIMIT $%d`, n-3, n-2, n-1, n), args
}

// contradicts reports that the filter names a fingerprint of another handler
// or reason, and so selects nothing.
func (f Filter) contradicts(ctx context.Context, db *database.DB) (bool, error) {
	if f.Fingerprint == "" || f.Handler == "" && f.Reason == "" {
		return false, nil
	}
	q, args := Filter{Fingerprint: f.Fingerprint, State: f.State}.query(dialectOf(db), summaryColumns, newest(), 1)
	letters, err := query(ctx, db, func(row scanner) (*Letter, error) { return scan(row) }, q, args...)
	if err != nil {
		return false, err
	}
	for _, l := range letters {
		return f.Handler != "" && f.Handler != l.Handler || f.Reason != "" && f.Reason != l.Reason, nil
	}
	return true, nil // there is none
}
