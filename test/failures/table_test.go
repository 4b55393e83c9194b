package failures

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"
	"time"

	"github.com/ThreeDotsLabs/watermill/message"
	"github.com/stretchr/testify/require"

	"github.com/answerfeed/answerfeed/app/failure"
	"github.com/answerfeed/answerfeed/config"
	"github.com/answerfeed/answerfeed/handlers"
)

var errBoom = errors.New("boom")

// tried is the topic of the handlers that fail.
const tried = "tried"

// row is one kind of failure: a handler of that name fails in that way over
// the message of that name, and over no other.
type row struct {
	change func(*config.Handler)
	script func(ctx context.Context, attempt int) error

	attempts, redeliveries int
	reason                 string // of the letter; "" = there is none
	says                   string // in its error
	apart                  time.Duration
}

var quick = retries(2, 10*time.Millisecond, 20*time.Millisecond)

func also(change, more func(*config.Handler)) func(*config.Handler) {
	return func(h *config.Handler) { change(h); more(h) }
}

func always(err error) func(context.Context, int) error { return until(1000, err) }

// until fails that often.
func until(failures int, err error) func(context.Context, int) error {
	return func(_ context.Context, attempt int) error {
		if attempt > failures {
			return nil
		}
		return err
	}
}

// table is every kind of failure whose end depends on the handler alone. What
// ignores its context goes on until release is closed.
func table(t *testing.T, release <-chan struct{}) map[string]row {
	service := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Retry-After", "1")
		w.WriteHeader(map[string]int{"/busy": http.StatusTooManyRequests, "/gone": http.StatusGone}[r.URL.Path])
	}))
	t.Cleanup(service.Close)
	calls := func(path string) func(context.Context, int) error {
		return func(ctx context.Context, _ int) error {
			r, err := http.NewRequestWithContext(ctx, http.MethodGet, service.URL+path, http.NoBody)
			if err != nil {
				return err
			}
			answer, err := service.Client().Do(r)
			if err != nil {
				return err
			}
			defer answer.Body.Close()
			return failure.FromHTTP(answer)
		}
	}
	transient := failure.Transient(errBoom)
	retried := also(quick, func(h *config.Handler) { h.OnUnknown = config.UnknownRetry })
	briefly := func(h *config.Handler) { h.Timeout = 20 * time.Millisecond }
	panics := func(context.Context, int) error { panic("boom") }
	return map[string]row{
		"well":                         {quick, until(0, nil), 1, 0, "", "", 0},
		"permanent":                    {quick, always(failure.Permanent("no-such-user", errBoom)), 1, 0, "no-such-user", "boom", 0},
		"permanent-after-a-redelivery": {quick, turns(3, transient, failure.Permanent("gone", errBoom)), 4, 1, "gone", "boom", 0},
		"unknown":                      {quick, always(errBoom), 1, 0, "unknown", "boom", 0},
		"unknown-retried":              {retried, always(errBoom), 6, 2, "exhausted", "boom", 0},
		"unknown-retried-then-well":    {retried, until(3, errBoom), 4, 1, "", "", 0},
		"panic":                        {quick, panics, 1, 0, "panic", "table_test.go", 0},
		"panic-retried":                {retried, panics, 6, 2, "exhausted", "table_test.go", 0},
		"timeout":                      {also(quick, briefly), waits, 6, 2, "exhausted", "deadline exceeded", 0},
		"ignoring-its-context": {
			also(retries(1, 10*time.Millisecond), briefly), func(context.Context, int) error { <-release; return nil },
			2, 1, "exhausted", "still ran 5s after its context ended", 5 * time.Second,
		},
		"transient-then-well":      {quick, until(1, transient), 2, 0, "", "", 0},
		"well-after-a-redelivery":  {quick, until(3, transient), 4, 1, "", "", 0},
		"well-at-the-last-attempt": {quick, until(5, transient), 6, 2, "", "", 0},
		"exhausted":                {quick, always(transient), 6, 2, "exhausted", "boom", 0},
		"no-redelivery":            {retries(1), always(transient), 1, 0, "exhausted", "boom", 0},
		"retry-after":              {quick, calls("/busy"), 3, 2, "exhausted", "429 Too Many Requests", time.Second},
		"gone-for-good":            {quick, calls("/gone"), 1, 0, "rejected", "410 Gone", 0},
	}
}

func waits(ctx context.Context, _ int) error { <-ctx.Done(); return ctx.Err() }

// turns fails in one way that often, and then in another.
func turns(times int, first, then error) func(context.Context, int) error {
	return func(_ context.Context, attempt int) error {
		if attempt <= times {
			return first
		}
		return then
	}
}

// attempts are all that were made, by handler and payload.
type attempts struct {
	mu  sync.Mutex
	all map[[2]string][]time.Time
	// uncounted are those of a handler that failed and did not count, because
	// a dependency did not answer meanwhile; nil = none.
	uncounted func(handler string) int
}

func (a *attempts) note(handler, payload string) int {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.all == nil {
		a.all = map[[2]string][]time.Time{}
	}
	key := [2]string{handler, payload}
	a.all[key] = append(a.all[key], time.Now())
	return len(a.all[key])
}

func (a *attempts) of(handler, payload string) []time.Time {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.all[[2]string{handler, payload}]
}

// leaveOut says which attempts do not count.
func (a *attempts) leaveOut(uncounted func(handler string) int) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.uncounted = uncounted
}

// without is how many of a handler's attempts do not count.
func (a *attempts) without(handler string) int {
	a.mu.Lock()
	uncounted := a.uncounted
	a.mu.Unlock()
	if uncounted == nil {
		return 0
	}
	return uncounted(handler)
}

// failing is a handler that does as the script says over the payload of its
// own, and does well over all others. The script is told which attempt it is of
// those that count: what did not is made again.
func (a *attempts) failing(name, own string, script func(ctx context.Context, attempt int) error) handlers.Handler {
	handle := func(ctx context.Context, payload []byte) error {
		n := a.note(name, string(payload))
		if string(payload) != own {
			return nil
		}
		return script(ctx, n-a.without(name))
	}
	return handlers.Handler{Name: name, Topics: func(handlers.Env) []handlers.Topic {
		return []handlers.Topic{{Name: tried, Handle: handle}}
	}}
}

// payloadOf is what no text, JSON or C string holds.
func payloadOf(name string) string { return "{\x00\xff\n" + name }

// newMessage is a message as a producer with headers of its own sends it.
func newMessage(t testing.TB, name string) *message.Message {
	m := message.NewMessage("uuid-"+name, []byte(payloadOf(name)))
	m.Metadata = message.Metadata{"tenant": "Ærø " + name, "correlation_id": "correlation-" + name, "empty": ""}
	m.SetContext(t.Context())
	return m
}

// Each kind of failure comes to its own end after exactly so many attempts,
// and whoever else takes the topic sees each message once. It runs before the
// tests that keep the machine busy.
func TestEachKindOfFailure(t *testing.T) {
	onEach(t, func(t *testing.T, p place) {
		release := make(chan struct{})
		defer close(release)
		rows := table(t, release)
		made := &attempts{}
		var all []handlers.Handler
		var changes []func(*config.Config)
		for name, r := range rows {
			all = append(all, made.failing(name, payloadOf(name), r.script))
			changes = append(changes, handler(name, r.change))
		}
		client := p.open(t, all, changes...)
		w := p.run(t, all, changes...)
		made.leaveOut(func(name string) int { return w.uncounted(t, name) })
		begin, dead := time.Now(), 0
		for name, r := range rows {
			require.NoError(t, client.Publisher().Publish(tried, newMessage(t, name)))
			if r.reason != "" {
				dead++
			}
		}
		db := p.reader(t)
		eventually(t, "all end", func() bool {
			for name, r := range rows {
				for other := range rows {
					if want := 1; other != name && len(made.of(other, payloadOf(name))) < want || len(made.of(name, payloadOf(name))) < r.attempts {
						return false
					}
				}
			}
			return ask[int](t, db, countLetters) >= dead
		})
		w.stop(t)
		requireEmpty(t, client)
		for name, r := range rows {
			for other := range rows {
				if other != name {
					require.Len(t, made.of(other, payloadOf(name)), 1, "%s sees the message of %s", other, name)
				}
			}
			r.require(t, name, made.of(name, payloadOf(name)), w, len(rows)-1)
		}
		letters := p.letters(t)
		require.Len(t, letters, dead)
		for _, l := range letters {
			rows[l.Handler].requireLetter(t, l, begin)
		}
	})
}

// require requires of the row's handler, which did well over so many others,
// exactly its attempts and deliveries.
func (r row) require(t *testing.T, name string, made []time.Time, w *worker, others int) {
	t.Helper()
	// On a machine that has too much to do a probe may go unanswered: what
	// fails meanwhile is told of, does not count, and is made again at once.
	uncounted, early := w.uncounted(t, name), 0
	require.Len(t, made, r.attempts+uncounted, "%s: attempts", name)
	for i := 1; i < len(made); i++ {
		if made[i].Sub(made[i-1]) < r.apart {
			early++
		}
	}
	require.LessOrEqual(t, early, uncounted, "%s: attempts came too early: %v", name, made)
	outcomes, failures := map[string]int{"handled": others}, r.attempts
	if r.reason == "" {
		outcomes["handled"]++
		failures--
	} else {
		outcomes["dead-letter"] = 1
	}
	if r.redeliveries > 0 {
		outcomes["redelivered"] = r.redeliveries
	}
	require.Equal(t, outcomes, w.deliveries(t, name), "%s: deliveries", name)
	failed := 0
	for _, n := range w.failed(t, name) {
		failed += n
	}
	require.Equal(t, failures, failed, fmt.Sprint(name, ": failed attempts"))
}
