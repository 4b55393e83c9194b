package logfold

import (
	"context"
	"log/slog"
	"slices"
	"sync"
	"time"
)

const (
	// each is the time within which a cause has one line.
	each = time.Second
	// maxCauses is how many causes of one message are told apart; further ones
	// share a line.
	maxCauses = 20
	// maxKeys bounds the causes of all messages in the same way.
	maxKeys = 1000
	// repeated is the attribute of a line that stands for several.
	repeated = "repeated"
)

// Handler is a slog.Handler that folds repeats before the next handler. Lines
// below the level INFO pass: who asks for them wants them all.
type Handler struct {
	next slog.Handler
	own  []slog.Attr // given by WithAttrs
	core *core
}

var _ slog.Handler = (*Handler)(nil)

// New returns a Handler before next. Close ends it.
func New(next slog.Handler) *Handler {
	c := &core{now: time.Now, causes: map[string]*cause{}, ofMessage: map[string]int{}, stop: make(chan struct{}), done: make(chan struct{})}
	go c.run()
	return &Handler{next: next, core: c}
}

// Close tells what is still counted. Later lines pass as they are. It closes
// all that WithAttrs and WithGroup made of the Handler.
func (h *Handler) Close() {
	h.core.once.Do(func() { close(h.core.stop) })
	<-h.core.done
}

// Enabled implements slog.Handler.
func (h *Handler) Enabled(ctx context.Context, level slog.Level) bool {
	return h.next.Enabled(ctx, level)
}

// WithAttrs implements slog.Handler.
func (h *Handler) WithAttrs(attrs []slog.Attr) slog.Handler {
	return &Handler{next: h.next.WithAttrs(attrs), own: slices.Concat(h.own, attrs), core: h.core}
}

// WithGroup implements slog.Handler.
func (h *Handler) WithGroup(name string) slog.Handler {
	return &Handler{next: h.next.WithGroup(name), own: h.own, core: h.core}
}

// Handle implements slog.Handler.
func (h *Handler) Handle(ctx context.Context, r slog.Record) error {
	if r.Level < slog.LevelInfo || h.core.first(h.next, h.own, r) {
		return h.next.Handle(ctx, r)
	}
	return nil
}

// core is what a Handler and those made of it share.
type core struct {
	now  func() time.Time
	once sync.Once
	stop chan struct{}
	done chan struct{} // run has ended

	mu        sync.Mutex
	closed    bool
	causes    map[string]*cause
	ofMessage map[string]int // causes of a message
}

// cause is one that had a line within the last second.
type cause struct {
	message string // with its level
	told    time.Time
	held    int          // lines since then
	last    slog.Record  // the last of them
	next    slog.Handler // which takes it
}

// first reports that the line is to be passed on; else it is counted.
func (c *core) first(next slog.Handler, own []slog.Attr, r slog.Record) bool {
	message := r.Level.String() + " " + r.Message
	key := keyOf(message, own, r)
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closed {
		return true
	}
	if c.causes[key] == nil && (c.ofMessage[message] >= maxCauses || len(c.causes) >= maxKeys) {
		key, message = "others: "+message, ""
		if len(c.causes) >= 2*maxKeys { // every message is another
			key = "others"
		}
	}
	if k := c.causes[key]; k != nil {
		k.held++
		k.last, k.next = r.Clone(), next
		return false
	}
	c.causes[key] = &cause{message: message, told: c.now()}
	c.ofMessage[message]++
	return true
}

// run tells each second what was counted.
func (c *core) run() {
	defer close(c.done)
	tick := time.NewTicker(each / 10)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
			c.tell(false)
		case <-c.stop:
			c.tell(true)
			return
		}
	}
}

// tell passes on the last line of each cause whose second is over, or of all
// at the end, and forgets the causes that were not repeated.
func (c *core) tell(end bool) {
	var due []*cause
	c.mu.Lock()
	c.closed = end
	now := c.now()
	for key, k := range c.causes {
		if !end && now.Sub(k.told) < each {
			continue
		}
		if k.held == 0 || end {
			delete(c.causes, key)
			if c.ofMessage[k.message]--; c.ofMessage[k.message] <= 0 {
				delete(c.ofMessage, k.message)
			}
		}
		if k.held > 0 {
			line := *k
			due = append(due, &line)
			k.told, k.held = now, 0
		}
	}
	c.mu.Unlock()
	slices.SortFunc(due, func(a, b *cause) int { return a.last.Time.Compare(b.last.Time) })
	for _, k := range due {
		if k.held > 1 {
			k.last.AddAttrs(slog.Int(repeated, k.held))
		}
		_ = k.next.Handle(context.Background(), k.last) // nobody is left to tell
	}
}
