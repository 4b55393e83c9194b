package deadletter

import (
	"context"
	"fmt"
	"log/slog"
	"time"

	"github.com/ThreeDotsLabs/watermill/message"

	"github.com/answerfeed/answerfeed/app/database"
)

// MaxLimit is the most letters, or groups, that one list returns.
const MaxLimit = 1000

// Desk is where a person works with the letters: one type for every
// operation, whoever offers them. Several desks may work at once, beside
// workers that store letters: counts stay exact. It is safe for concurrent
// use.
type Desk struct {
	db  *database.DB
	sql dialect
	pub message.Publisher
	who string
	log *slog.Logger
	now func() time.Time
	// set says that now is not the database's, which marks letters otherwise.
	set bool
}

// DeskOptions are what a desk is made of.
type DeskOptions struct {
	DB *database.DB
	// Publisher takes a queue's name in place of a topic, for that queue
	// alone: see transport.Transport. nil = nothing can be requeued.
	Publisher message.Publisher
	// Who works at the desk, for the audit.
	Who string
	// Logger defaults to slog.Default().
	Logger *slog.Logger
	// Now is the clock. Defaults to time.Now, and to the database's for what
	// is forgotten by age.
	Now func() time.Time
}

// NewDesk returns a desk. It holds nothing that must be closed.
func NewDesk(o DeskOptions) *Desk {
	d := &Desk{db: o.DB, sql: dialectOf(o.DB), pub: o.Publisher, who: text(o.Who), log: o.Logger, now: o.Now, set: o.Now != nil}
	if d.log == nil {
		d.log = slog.Default()
	}
	if d.now == nil {
		d.now = time.Now
	}
	return d
}

// Page is a part of a list.
type Page struct {
	// Letters are without message, the one that failed last first.
	Letters []*Letter
	// Next is the cursor of the next page; "" = this is the last one.
	Next string
}

// List returns up to limit letters behind the cursor, which an earlier page
// gave, or "". Its errors are [ErrFilter], or the database's.
//
// A search for text looks at no more than searchLetters a page: such a page
// may be shorter, or empty, and still have a next one.
func (d *Desk) List(ctx context.Context, f Filter, limit int, cursor string) (Page, error) {
	if err := f.Validate(); err != nil {
		return Page{}, err
	}
	if limit < 1 || limit > MaxLimit {
		return Page{}, fmt.Errorf("a limit of %d %w; it must be 1 to %d", limit, ErrFilter, MaxLimit)
	}
	from, err := parseCursor(cursor)
	if err != nil {
		return Page{}, err
	}
	if nothing, err := f.contradicts(ctx, d.db); err != nil || nothing {
		return Page{}, err
	}
	letters, next, err := d.page(ctx, f, from, limit)
	if err != nil || next == nil {
		return Page{Letters: letters}, err
	}
	return Page{Letters: letters, Next: next.cursor()}, nil
}

// page returns up to limit letters behind from, and where the next page
// begins; nil = there is none.
func (d *Desk) page(ctx context.Context, f Filter, from position, limit int) ([]*Letter, *position, error) {
	if f.Text != "" {
		return d.search(ctx, f, from, limit)
	}
	q, args := f.query(d.sql, summaryColumns, from, limit+1) // the one more tells whether there is a next page
	letters, err := query(ctx, d.db, func(row scanner) (*Letter, error) { return scan(row) }, q, args...)
	if err != nil || len(letters) <= limit {
		return letters, nil, err
	}
	letters = letters[:limit]
	return letters, letters[limit-1].position(), nil
}

func (l *Letter) position() *position { return &position{l.LastFailedAt.UnixMicro(), l.ID} }

// Group is the letters of one problem on one topic.
type Group struct {
	Fingerprint, Handler, Topic, Reason string
	// Error is that of the first letter.
	Error string
	// Letters are dead.
	Letters int
	// FirstFailedAt and LastFailedAt are of all its letters that ever were, in
	// UTC.
	FirstFailedAt, LastFailedAt time.Time
}

// Groups returns up to limit groups with dead letters, from kept counts,
// largest first. Of the filter, Handler, Topic, Reason and Fingerprint count.
func (d *Desk) Groups(ctx context.Context, f Filter, limit int) ([]Group, error) {
	if limit < 1 || limit > MaxLimit {
		return nil, fmt.Errorf("a limit of %d %w; it must be 1 to %d", limit, ErrFilter, MaxLimit)
	}
	q, args := `SELECT fingerprint, handler, topic, reason, error, letters, first_failed_at, last_failed_at FROM dead_letter_groups WHERE letters > 0`, []any{}
	for _, e := range []struct{ column, value string }{{"fingerprint", f.Fingerprint}, {"handler", f.Handler}, {"topic", f.Topic}, {"reason", f.Reason}} {
		if e.value != "" {
			args = append(args, text(e.value))
			q += fmt.Sprintf(` AND %s = $%d`, e.column, len(args))
		}
	}
	args = append(args, limit)
	q += fmt.Sprintf(` ORDER BY letters DESC, fingerprint DESC, topic DESC LIMIT $%d`, len(args))
	rows, err := d.db.Read().QueryContext(ctx, d.db.SQL(q), args...)
	if err != nil {
		return nil, fmt.Errorf("grouping dead letters: %w", err)
	}
	defer rows.Close()
	var groups []Group
	for rows.Next() {
		var g Group
		var first, last int64
		if err := rows.Scan(&g.Fingerprint, &g.Handler, &g.Topic, &g.Reason, &g.Error, &g.Letters, &first, &last); err != nil {
			return nil, fmt.Errorf("grouping dead letters: %w", err)
		}
		g.FirstFailedAt, g.LastFailedAt = time.UnixMicro(first).UTC(), time.UnixMicro(last).UTC()
		groups = append(groups, g)
	}
	if err := rows.Err(); err != nil {
		return nil, fmt.Errorf("grouping dead letters: %w", err)
	}
	return groups, nil
}

// historyAhead is how many requeues of a letter History looks ahead for.
const historyAhead = 50

// Show returns one letter whole, or [ErrNotFound].
func (d *Desk) Show(ctx context.Context, id string) (*Letter, error) { return get(ctx, d.db, id) }

// History returns the letters of the same message, one for each time that it
// was requeued and failed again, in that order, l included.
func (d *Desk) History(ctx context.Context, l *Letter) ([]*Letter, error) {
	var ids []any
	for n := max(0, l.Requeues-historyAhead); n <= l.Requeues+historyAhead; n++ {
		ids = append(ids, letterID(l.Handler, l.Topic, l.Identity, n))
	}
	return query(ctx, d.db, func(row scanner) (*Letter, error) { return scan(row) },
		`SELECT `+summaryColumns+` FROM dead_letters WHERE id IN (`+list(1, len(ids))+`) ORDER BY requeues`, ids...)
}
