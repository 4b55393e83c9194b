package sqlqueue

import (
	"context"
	stdsql "database/sql"
	"sync"
	"time"

	"github.com/jackc/pgx/v5"
)

// Pauses between two looks.
const (
	// lookBusy and lookIdle are those for due messages: the first for lookOn
	// after one was found.
	lookBusy, lookIdle = 2 * time.Millisecond, 20 * time.Millisecond
	lookOn             = time.Second
	// lookBelow is that for what is below the marks. It is longer where such a
	// look is dear, so that it takes a tenth of the time at most.
	lookBelow = 50 * time.Millisecond
	lookShare = 9
	// lookAgain is after an error.
	lookAgain = 200 * time.Millisecond
)

// What a consumer wants to be told.
const (
	nothing  int32 = iota // it has no room
	below                 // it claims, and needs to know of what its mark has passed
	anything              // it waits
)

// lookout looks for messages in PostgreSQL on behalf of all consumers of a
// transport that wait: one query for all of their queues, each few
// milliseconds, and at once when the process itself has written. There is no
// NOTIFY, which would have producers commit one after the other.
type lookout struct {
	t    *Transport
	ctx  context.Context
	stop context.CancelFunc
	wg   sync.WaitGroup
	once sync.Once

	mu        sync.Mutex
	consumers map[*consumer]struct{}
}

func newLookout(t *Transport) *lookout {
	l := &lookout{t: t, consumers: map[*consumer]struct{}{}}
	l.ctx, l.stop = context.WithCancel(context.Background())
	return l
}

// join starts to look for c, who hears of it by the channel.
func (l *lookout) join(c *consumer) (news <-chan struct{}, leave func()) {
	l.once.Do(func() {
		l.wg.Go(func() { l.lookForDue(l.ctx) })
		l.wg.Go(func() { l.lookBelowMarks(l.ctx) })
	})
	l.mu.Lock()
	defer l.mu.Unlock()
	l.consumers[c] = struct{}{}
	return c.news, func() {
		l.mu.Lock()
		defer l.mu.Unlock()
		delete(l.consumers, c)
	}
}

// lookForDue tells consumers that wait of messages above their marks.
func (l *lookout) lookForDue(ctx context.Context) {
	changes, stop := l.t.db.Changes()
	defer stop()
	timer := time.NewTimer(lookIdle)
	defer timer.Stop()
	var last time.Time
	for {
		select {
		case <-ctx.Done():
			return
		case <-changes:
		case <-timer.C:
		}
		found, err := l.look(ctx, false)
		if found {
			last = time.Now()
		}
		pause := lookIdle
		switch {
		case err != nil: // consumers look themselves now and then, and report it
			pause = lookAgain
		case time.Since(last) < lookOn:
			pause = lookBusy
		}
		timer.Reset(pause)
	}
}

// lookBelowMarks resets the marks that have passed something.
func (l *lookout) lookBelowMarks(ctx context.Context) {
	timer := time.NewTimer(lookBelow)
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-timer.C:
		}
		began := time.Now()
		_, err := l.look(ctx, true)
		pause := max(lookBelow, lookShare*time.Since(began))
		if err != nil {
			pause = max(pause, lookAgain)
		}
		timer.Reset(pause)
	}
}

// look looks once, for those who want it, and tells them.
func (l *lookout) look(ctx context.Context, fromBeginning bool) (found bool, err error) {
	var who []*consumer
	l.mu.Lock()
	for c := range l.consumers {
		if wants := c.wants.Load(); wants == anything || fromBeginning && wants == below {
			who = append(who, c)
		}
	}
	l.mu.Unlock()
	heads, err := l.heads(ctx, who, fromBeginning)
	if err != nil {
		return false, err
	}
	for i, c := range who {
		if heads[i] == nil {
			continue
		}
		if heads[i].passed {
			c.mark.reset()
		}
		if c.wants.Load() == anything {
			found = true
			select {
			case c.news <- struct{}{}:
			default:
			}
		}
	}
	return found, nil
}

// head is the first message of a queue that may be claimed now.
type head struct {
	position
	size   int64
	passed bool // it is below the mark
}

// heads asks for the first message that may be claimed in the queue of each
// consumer, above its mark or anywhere; nil where there is none. Where there is
// none above a mark, the mark moves on.
//
// The query is planned each time, which takes 0.1 ms: a plan made for an empty
// table would read a full one from end to end.
func (l *lookout) heads(ctx context.Context, who []*consumer, fromBeginning bool) ([]*head, error) {
	if len(who) == 0 {
		return nil, nil
	}
	queues, dues, ids := make([]int64, len(who)), make([]int64, len(who)), make([]int64, len(who))
	marks, heads := make([]*position, len(who)), make([]*head, len(who))
	for i, c := range who {
		marks[i] = c.mark.from()
		from := *marks[i]
		if fromBeginning {
			from = beginning
		}
		queues[i], dues[i], ids[i] = c.queue.Load(), from.due, from.id
	}
	rows, err := l.t.db.Read().QueryContext(ctx, l.t.queries.look, pgx.QueryExecModeExec, queues, dues, ids)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	for rows.Next() {
		var number int
		var now int64
		var due, id, size stdsql.NullInt64
		if err := rows.Scan(&number, &now, &due, &id, &size); err != nil {
			return nil, err
		}
		if due.Valid {
			// By the mark of before the query: what was claimed meanwhile is
			// passed and not missed.
			at := position{due.Int64, id.Int64}
			heads[number] = &head{at, size.Int64, !marks[number].before(at)}
		} else if !fromBeginning {
			who[number].mark.advance(marks[number], position{due: now}, now)
		}
	}
	if err := rows.Err(); err != nil {
		return nil, err
	}
	return heads, nil
}

// close ends looking.
func (l *lookout) close() {
	l.stop()
	l.wg.Wait()
}
