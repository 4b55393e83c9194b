package deadletter

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/answerfeed/answerfeed/app/database"
)

const (
	// workLetters and workBytes bound what is in hand at once: what a crash
	// makes the desk send a second time, and what it holds in memory beyond a
	// single letter.
	workLetters = 100
	workBytes   = 8 << 20
	// namedIDs is how many ids the audit names.
	namedIDs = 5
)

// ErrState: the letter is not in the state that the act is for.
var ErrState = errors.New("not in the right state")

// Selection says which letters are meant: those that IDs names, or, when it is
// empty, those that Filter selects. A selection by Filter is worked through
// from the letter that failed last to the one that failed first. So what is
// requeued and fails again while that goes on is not met again.
type Selection struct {
	IDs    []string
	Filter Filter
}

func (s Selection) String() string {
	switch n := len(s.IDs); {
	case n == 0:
		return s.Filter.String()
	case n <= namedIDs:
		return strings.Join(s.IDs, " ")
	default:
		return fmt.Sprintf("%s and %d more", strings.Join(s.IDs[:namedIDs], " "), n-namedIDs)
	}
}

// Options say how an act is done. The zero value does it to all, at once.
type Options struct {
	// DryRun only counts what would be done.
	DryRun bool
	// Rate bounds the act, in letters a second. 0 = no bound.
	Rate float64
	// Refused is called for each letter to which it could not be done. May be
	// nil.
	Refused func(id string, err error)
	// Progress is called after each batch with the result so far. May be nil.
	Progress func(Result)
}

// Result tells what an act did.
type Result struct {
	// Selected letters were found. Done of them changed, or were written;
	// Passed were so already, or another desk came first; Refused could not
	// be done. In a dry run, Done are those that would be tried.
	Selected, Done, Passed, Refused int
	// Old are those of Done that first failed longer ago than the inbox
	// remembers ([database.InboxKept]): a handler that had handled such a
	// message by then would do so again.
	Old int
}

// work is one act on a selection: from one state to another. to is "" when
// the letters stay as they are.
type work struct {
	action   string
	from, to State
	any      bool // letters that are named may be in any state
	sel      Selection
	note     string // for the audit, behind the selection
	Options
	// do returns the ids of those of the batch that it was done to, and calls
	// refuse for those to which it could not be.
	do func(ctx context.Context, a *act, batch []*Letter, refuse func(id string, err error)) (done []string, err error)
}

// run is the same for all acts.
func (d *Desk) run(ctx context.Context, w work) (r Result, err error) {
	if w.sel.Filter.State == "" {
		w.sel.Filter.State = w.from
	}
	if err := w.sel.Filter.Validate(); err != nil {
		return r, err
	}
	if len(w.sel.IDs) == 0 && w.sel.Filter.State != w.from {
		return r, fmt.Errorf("state %q %w: there is nothing to %s but what is %s", w.sel.Filter.State, ErrFilter, w.action, w.from)
	}
	var a *act
	if !w.DryRun {
		if a, err = d.begin(ctx, w.action, w.sel.String()+w.note); err != nil {
			return r, err
		}
		defer func() { err = a.end(context.WithoutCancel(ctx), err) }()
	}
	started := d.now()
	limit := workLetters
	if w.Rate > 0 {
		limit = max(1, min(limit, int(w.Rate/10)))
	}
	err = d.selected(ctx, w.sel, &w, &r, func(letters []*Letter) error {
		todo := w.sort(letters, &r)
		if w.DryRun {
			r.Done += len(todo)
			r.Old += d.old(todo)
			return nil
		}
		for len(todo) > 0 {
			var batch []*Letter
			batch, todo = cut(todo, limit)
			refused := r.Refused
			done, err := w.do(ctx, a, batch, func(id string, err error) { w.refuse(&r, id, err) })
			a.letters += len(done)
			r.Done += len(done)
			r.Old += d.old(among(batch, done))
			if err != nil {
				return err
			}
			r.Passed += len(batch) - len(done) - (r.Refused - refused)
			if w.Progress != nil {
				w.Progress(r)
			}
			if err := pace(ctx, d.now().Sub(started), r.Done, w.Rate); err != nil {
				return err
			}
		}
		return nil
	})
	return r, err
}

// refuse counts and tells of a letter.
func (w *work) refuse(r *Result, id string, err error) {
	r.Refused++
	if w.Refused != nil {
		w.Refused(id, err)
	}
}

// sort counts the letters and returns those that the act is for.
func (w *work) sort(letters []*Letter, r *Result) []*Letter {
	var todo []*Letter
	for _, l := range letters {
		r.Selected++
		switch {
		case l.State == w.from, w.any:
			todo = append(todo, l)
		case l.State == w.to:
			r.Passed++
		default:
			w.refuse(r, l.ID, fmt.Errorf("%w: it is %s, and only what is %s can be %sed", ErrState, l.State, w.from, strings.TrimSuffix(w.action, "e")))
		}
	}
	return todo
}

// selected yields the selection, without payloads, part by part.
func (d *Desk) selected(ctx context.Context, s Selection, w *work, r *Result, yield func([]*Letter) error) error {
	if len(s.IDs) > 0 {
		return d.named(ctx, s.IDs, w, r, yield)
	}
	if nothing, err := s.Filter.contradicts(ctx, d.db); err != nil || nothing {
		return err
	}
	for from := newest(); ; {
		letters, next, err := d.page(ctx, s.Filter, from, MaxLimit)
		if err != nil {
			return err
		}
		if err := yield(letters); err != nil || next == nil {
			return err
		}
		from = *next
	}
}

// named yields the letters with these ids, in the order given.
func (d *Desk) named(ctx context.Context, ids []string, w *work, r *Result, yield func([]*Letter) error) error {
	seen := map[string]bool{}
	for len(ids) > 0 {
		part := ids[:min(len(ids), workLetters)]
		ids = ids[len(part):]
		args := make([]any, len(part))
		for i, id := range part {
			args[i] = text(id)
		}
		found, err := query(ctx, d.db, func(row scanner) (*Letter, error) { return scan(row) },
			`SELECT `+summaryColumns+` FROM dead_letters WHERE id IN (`+list(1, len(part))+`)`, args...)
		if err != nil {
			return err
		}
		byID := map[string]*Letter{}
		for _, l := range found {
			byID[l.ID] = l
		}
		var letters []*Letter
		for _, id := range part {
			l := byID[text(id)]
			switch {
			case seen[id]: // named twice
			case l == nil:
				w.refuse(r, text(id), ErrNotFound)
			default:
				letters = append(letters, l)
			}
			seen[id] = true
		}
		if err := yield(letters); err != nil {
			return err
		}
	}
	return nil
}

// old counts the letters that first failed longer ago than the inbox
// remembers.
func (d *Desk) old(letters []*Letter) (n int) {
	before := d.now().Add(-database.InboxKept)
	for _, l := range letters {
		if l.FirstFailedAt.Before(before) {
			n++
		}
	}
	return n
}

// cut takes a batch off letters: one at least, and then no more than limit,
// and workBytes of payload.
func cut(letters []*Letter, limit int) (batch, rest []*Letter) {
	bytes := 0
	for i, l := range letters {
		if bytes += l.Size; i > 0 && (i == limit || bytes > workBytes) {
			return letters[:i], letters[i:]
		}
	}
	return letters, nil
}

// among returns those letters of a batch that have one of the ids.
func among(batch []*Letter, ids []string) []*Letter {
	wanted := map[string]bool{}
	for _, id := range ids {
		wanted[id] = true
	}
	var found []*Letter
	for _, l := range batch {
		if wanted[l.ID] {
			found = append(found, l)
		}
	}
	return found
}

// pace waits as long as done letters in the time passed were too many.
func pace(ctx context.Context, passed time.Duration, done int, rate float64) error {
	if rate <= 0 {
		return ctx.Err()
	}
	t := time.NewTimer(time.Duration(float64(done)/rate*float64(time.Second)) - passed)
	defer t.Stop()
	select {
	case <-t.C:
		return ctx.Err()
	case <-ctx.Done():
		return ctx.Err()
	}
}
