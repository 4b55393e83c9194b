package logfold

import (
	"bytes"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// rig is a Handler whose seconds pass when the test says so.
type rig struct {
	*Handler
	log *slog.Logger

	mu  sync.Mutex
	out bytes.Buffer
	at  time.Time
}

func (r *rig) Write(b []byte) (int, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.out.Write(b)
}

// lines are those written since the last call.
func (r *rig) lines() []string {
	r.mu.Lock()
	defer r.mu.Unlock()
	text := strings.TrimSpace(r.out.String())
	r.out.Reset()
	if text == "" {
		return nil
	}
	return strings.Split(text, "\n")
}

func (r *rig) pass(d time.Duration) {
	r.core.mu.Lock()
	r.at = r.at.Add(d)
	r.core.mu.Unlock()
	r.core.tell(false)
}

func newRig(t *testing.T) *rig {
	t.Helper()
	r := &rig{at: time.Now()}
	withoutTime := func(_ []string, a slog.Attr) slog.Attr {
		if a.Key == slog.TimeKey {
			return slog.Attr{}
		}
		return a
	}
	r.Handler = New(slog.NewTextHandler(r, &slog.HandlerOptions{Level: slog.LevelDebug, ReplaceAttr: withoutTime}))
	r.core.mu.Lock()
	r.core.now = func() time.Time { return r.at }
	r.core.mu.Unlock()
	r.log = slog.New(r.Handler)
	t.Cleanup(r.Close)
	return r
}

// A flood of one cause is a line at once, and one a second with the count.
func TestFlood_IsOneLineASecondWithACount(t *testing.T) {
	r := newRig(t)
	flood := func(n int) {
		for i := range n {
			r.log.Warn("dead letter", "handler", "feed", "reason", "invalid", "attempts", i, "error", fmt.Errorf("row r%d: took %s", i, time.Duration(i)*time.Second), "correlation_id", fmt.Sprint("c", i))
		}
	}
	flood(1)
	require.Equal(t, []string{`level=WARN msg="dead letter" handler=feed reason=invalid attempts=0 error="row r0: took 0s" correlation_id=c0`}, r.lines(), "the first comes at once")
	flood(500)
	require.Empty(t, r.lines())
	r.pass(each)
	require.Equal(t, []string{`level=WARN msg="dead letter" handler=feed reason=invalid attempts=499 error="row r499: took 8m19s" correlation_id=c499 repeated=500`}, r.lines())
	flood(3)
	r.pass(each / 2)
	require.Empty(t, r.lines(), "the second of the line before is not over")
	r.pass(each / 2)
	require.Len(t, r.lines(), 1)
	r.pass(each)
	flood(1)
	require.Len(t, r.lines(), 1, "after a quiet second the next comes at once")
	flood(7)
	r.Close()
	require.Contains(t, r.lines()[0], "repeated=7", "what is counted is told at the end")
	flood(2)
	require.Len(t, r.lines(), 2, "and what comes later passes")
}

// In a flood of one cause, every other is seen at once.
func TestFlood_HidesNoOtherCause(t *testing.T) {
	r := newRig(t)
	base := func() []any { return []any{"handler", "feed", "reason", "invalid", "error", errors.New("boom")} }
	for range 100 {
		r.log.Warn("dead letter", base()...)
	}
	r.lines()
	other := map[string]func(){
		"level":   func() { r.log.Error("dead letter", base()...) },
		"message": func() { r.log.Warn("attempt failed", base()...) },
		"handler": func() {
			r.log.Warn("dead letter", "handler", "board", "reason", "invalid", "error", errors.New("boom"))
		},
		"reason":  func() { r.log.Warn("dead letter", "handler", "feed", "reason", "panic", "error", errors.New("boom")) },
		"error":   func() { r.log.Warn("dead letter", "handler", "feed", "reason", "invalid", "error", "no route to host") },
		"status":  func() { r.log.Warn("dead letter", "handler", "feed", "reason", "invalid", "error", "it answered 503") },
		"another": func() { r.log.Warn("dead letter", "handler", "feed", "reason", "invalid", "error", "it answered 404") },
		"bound":   func() { r.log.With("queue", "x").Warn("dead letter", base()...) },
	}
	for name, say := range other {
		say()
		require.Len(t, r.lines(), 1, name)
	}
	for range 3 {
		r.log.Debug("asked")
	}
	require.Len(t, r.lines(), 3, "who asks for DEBUG wants all of it")
}

// However many causes there are, lines and memory are bounded.
func TestFlood_OfCausesIsBounded(t *testing.T) {
	r := newRig(t)
	for i := range 10_000 {
		r.log.Error("it failed", "error", "word"+strings.Repeat("x", i%200)+" "+string(rune('a'+i%26)), "where", fmt.Sprint("place ", i))
	}
	require.Len(t, r.lines(), maxCauses+1)
	r.pass(each)
	require.Len(t, r.lines(), 1)
	for i := range 10_000 {
		r.log.Error(fmt.Sprint("message ", i)) //nolint:sloglint // of a handler that does so
	}
	require.LessOrEqual(t, len(r.lines()), 2*maxKeys+1)
	require.LessOrEqual(t, len(r.core.causes), 2*maxKeys+1)
	r.pass(2 * each)
	r.pass(2 * each)
	require.Empty(t, r.core.causes)
	require.Empty(t, r.core.ofMessage)
}

// The second passes by itself, too, and many write at once.
func TestHandler_TellsWhenTheSecondIsOver(t *testing.T) {
	var out rig
	h := New(slog.NewTextHandler(&out, nil))
	defer h.Close()
	log := slog.New(h)
	var all sync.WaitGroup
	for range 8 {
		all.Go(func() {
			for range 100 {
				log.Info("again")
			}
		})
	}
	all.Wait()
	deadline := time.After(30 * time.Second)
	for total := 0; total < 2; {
		total += len(out.lines())
		select {
		case <-deadline:
			require.Fail(t, "the count was not told")
		case <-time.After(10 * time.Millisecond):
		}
	}
}
