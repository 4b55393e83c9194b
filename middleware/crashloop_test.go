package middleware_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/ThreeDotsLabs/watermill/message"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/answerfeed/answerfeed/app/failure"
	"github.com/answerfeed/answerfeed/internal/suspect"
	"github.com/answerfeed/answerfeed/internal/transport"
	"github.com/answerfeed/answerfeed/middleware"
)

// groups outlive processes.
type groups struct {
	mu     sync.Mutex
	all    []suspect.Group
	made   int
	begun  []suspect.Group
	err    error
	taken  bool // each range is taken by another process first
	ended  int
	undone int
}

var _ middleware.Suspects = (*groups)(nil)

func (k *groups) Look() int64 { return 0 }

func (k *groups) Standing(context.Context, string) ([]suspect.Group, error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	return slices.Clone(k.all), k.err
}

func (k *groups) Begin(_ context.Context, g suspect.Group) (string, bool, error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.err != nil || k.taken && g.Suspect {
		return "", false, k.err
	}
	if g.ID == "" {
		k.made++
		g.ID = fmt.Sprint("new-", k.made)
	}
	g.Owner = suspect.Mine
	k.all = append(slices.DeleteFunc(k.all, func(other suspect.Group) bool { return other.ID == g.ID }), g)
	k.begun = append(k.begun, g)
	return g.ID, true, nil
}

func (k *groups) End(_ context.Context, id string, unfinished bool) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.ended++
	for i := range k.all {
		if k.all[i].ID == id && unfinished {
			k.undone++
			k.all[i].Owner = suspect.Nobody
			return
		}
	}
	k.all = slices.DeleteFunc(k.all, func(g suspect.Group) bool { return g.ID == id })
}

func (k *groups) standing() int {
	k.mu.Lock()
	defer k.mu.Unlock()
	return len(k.all)
}

// pending is a range of which a process has died.
func pending(id string, deaths int, identities ...string) suspect.Group {
	var members []suspect.Member
	for _, identity := range identities {
		members = append(members, suspect.NewMember(identity, 0, 0))
	}
	g := suspect.Around(handlerName, members)
	g.ID, g.Suspect, g.Deaths = id, true, deaths
	if deaths > 0 {
		g.Identity = identities[0]
	}
	return g
}

func suspecting(k *groups) func(*middleware.Settings) {
	return func(s *middleware.Settings) { s.Suspects = k }
}

// returned is a message that was delivered before so many times.
func returned(n int, id string) *message.Message {
	m := message.NewMessage(id, []byte(`{}`))
	m.SetContext(transport.WithDelivery(context.Background(), transport.Delivery{Returns: n}))
	return m
}

func TestCrashLoopGuard_WritesNothingForFirstDeliveries(t *testing.T) {
	k := &groups{err: errors.New("asked")}
	r, h := newRig(t, suspecting(k)), fails(nil)
	require.NoError(t, r.handle(returned(0, "u1"), h.handle))
	require.Equal(t, 1, h.attempts)
}

// What a cut connection brings back is handled in parallel, with one row.
func TestCrashLoopGuard_HandlesWhatCameBackInParallel(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		k := &groups{}
		r := newRig(t, suspecting(k))
		handle := r.chain(func(*message.Message) error {
			require.Equal(t, 1, k.standing())
			<-time.After(8 * time.Second)
			return nil
		})
		begin := time.Now()
		var all sync.WaitGroup
		for i := range 1000 {
			all.Go(func() { assert.NoError(t, handle(returned(2, fmt.Sprint(i)))) })
		}
		all.Wait()
		require.Less(t, time.Since(begin), 9*time.Second)
		require.Len(t, k.begun, 1, "rows")
		require.Zero(t, k.standing())
		require.Equal(t, 1, strings.Count(r.log.String(), "redelivered messages are handled as a group"))
	})
}

// Of the ranges that a process died of one at a time is handled, beside what
// is not suspected.
func TestCrashLoopGuard_HandlesSuspectedRangesOneAtATime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		k := &groups{all: []suspect.Group{pending("a", 0, "a1", "a2"), pending("b", 0, "b1", "b2")}}
		r := newRig(t, suspecting(k))
		var mu sync.Mutex
		running, most := map[string]int{}, 0
		handle := r.chain(func(m *message.Message) error {
			kind := m.UUID[:1]
			mu.Lock()
			running[kind]++
			if kind != "c" && running["a"] > 0 {
				require.Zero(t, running["b"], "the other range")
			}
			most = max(most, running["a"], running["b"])
			mu.Unlock()
			<-time.After(10 * time.Second)
			mu.Lock()
			running[kind]--
			mu.Unlock()
			return nil
		})
		begin := time.Now()
		var all sync.WaitGroup
		for _, id := range []string{"a1", "a2", "b1", "b2"} {
			all.Go(func() { assert.NoError(t, handle(returned(1, id))) })
		}
		for i := range 50 {
			all.Go(func() { assert.NoError(t, handle(returned(i%2, fmt.Sprint("c", i)))) })
		}
		<-time.After(time.Second)
		synctest.Wait()
		mu.Lock()
		require.Equal(t, 50, running["c"])
		mu.Unlock()
		all.Wait()
		require.Equal(t, 2, most, "the members of a range are handled in parallel")
		require.Less(t, time.Since(begin), 21*time.Second)
		require.Zero(t, k.standing())
	})
}

// While a message is alone nothing else begins in the process, of any handler:
// nobody else can be what the process dies of.
func TestCrashLoopGuard_AloneMeansAlone(t *testing.T) {
	for name, other := range map[string]func(*middleware.Settings){"at least once": func(*middleware.Settings) {}, "at most once": atMostOnce} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				k, isolation := &groups{all: []suspect.Group{pending("a", 0, "a1")}}, &middleware.Isolation{}
				isolated := func(s *middleware.Settings) { s.Isolation = isolation }
				r := newRig(t, suspecting(k), isolated)
				another := newRig(t, suspecting(&groups{}), isolated, other)
				var mu sync.Mutex
				running, alone := 0, false
				handler := func(m *message.Message) error {
					mu.Lock()
					require.False(t, alone, "somebody is alone")
					running++
					if alone = m.UUID == "a1"; alone {
						require.Equal(t, 1, running)
					}
					mu.Unlock()
					<-time.After(5 * time.Second)
					mu.Lock()
					running--
					alone = false
					mu.Unlock()
					return nil
				}
				own, others := r.chain(handler), another.chain(handler)
				var all sync.WaitGroup
				for i := range 20 {
					all.Go(func() { assert.NoError(t, own(returned(i%2, fmt.Sprint("c", i)))) })
					all.Go(func() { assert.NoError(t, others(returned(0, fmt.Sprint("d", i)))) })
					if i == 10 {
						all.Go(func() { assert.NoError(t, own(returned(2, "a1"))) })
					}
					<-time.After(300 * time.Millisecond)
				}
				all.Wait()
				require.Zero(t, k.standing())
				require.Empty(t, another.letters)
				require.Equal(t, 1, strings.Count(r.log.String(), "handled alone"))
			})
		})
	}
}

// A handler that never ends does not keep a suspect waiting.
func TestCrashLoopGuard_WaitsForOthersForABoundedTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		k, goOn := &groups{all: []suspect.Group{pending("a", 0, "a1")}}, make(chan struct{})
		r := newRig(t, suspecting(k), func(s *middleware.Settings) { s.Timeout = time.Hour })
		handle := r.chain(func(m *message.Message) error {
			if m.UUID == "long" {
				<-goOn
			}
			return nil
		})
		var all sync.WaitGroup
		all.Go(func() { assert.NoError(t, handle(returned(0, "long"))) })
		synctest.Wait()
		begin := time.Now()
		require.NoError(t, handle(returned(1, "a1")))
		require.Less(t, time.Since(begin), 32*time.Second)
		close(goOn)
		all.Wait()
	})
}

func TestCrashLoopGuard_FiveDeathsAloneAreALetter(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		k := &groups{all: []suspect.Group{pending("a", 4, "u1")}}
		r, h := newRig(t, suspecting(k)), fails(nil)
		require.NoError(t, r.handle(returned(7, "u1"), h.handle), "four are not enough")
		require.Equal(t, 1, h.attempts)
		require.Zero(t, k.standing(), "the count is cleared")

		k.all = []suspect.Group{pending("a", 5, "u1")}
		require.NoError(t, r.handle(returned(7, "u1"), h.handle))
		require.Equal(t, 1, h.attempts, "it is not handled again")
		require.Len(t, r.letters, 1)
		require.Equal(t, "crash-loop", r.letters[0]["reason_poisoned"])
		require.Equal(t, "5", r.letters[0][transport.KeyAttempts])

		m := returned(2, "u1") // a person sent it back: a new beginning
		transport.SetCount(m, transport.KeyRequeues, 1)
		require.NoError(t, r.handle(m, h.handle))
		require.Equal(t, 2, h.attempts)
		require.Len(t, r.letters, 1)
	})
}

// A failure is survived as well as a success is.
func TestCrashLoopGuard_AFailureEndsAGroup(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		k := &groups{all: []suspect.Group{pending("a", 3, "u1")}}
		r := newRig(t, suspecting(k))
		require.NoError(t, r.handle(returned(2, "u1"), fails(failure.Transient(errBoom)).handle))
		require.NoError(t, r.handle(returned(2, "u2"), func(*message.Message) error { panic("boom") }))
		require.Zero(t, k.standing())
		require.Zero(t, k.undone)
		require.Len(t, r.redelivered, 1)
		require.Len(t, r.letters, 1)
	})
}

// An interruption is no end: a suspected range waits for the next process.
func TestCrashLoopGuard_AnInterruptionLeavesTheRangeSuspected(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		k := &groups{all: []suspect.Group{pending("a", 3, "u1")}}
		r := newRig(t, suspecting(k))
		m := returned(2, "u1")
		ctx, cancel := context.WithCancel(m.Context())
		m.SetContext(ctx)
		require.Error(t, r.handle(m, func(m *message.Message) error {
			cancel()
			<-m.Context().Done()
			return m.Context().Err()
		}))
		require.Equal(t, 1, k.undone)
		require.Equal(t, 3, k.all[0].Deaths)
	})
}

// Without its row nothing that came back is handled. It waits for the
// database, with one line in the log.
func TestCrashLoopGuard_HandlesNothingWithoutItsRow(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		k := &groups{err: errBoom}
		r := newRig(t, suspecting(k))
		var handled atomic.Int64
		handle := r.chain(func(*message.Message) error { handled.Add(1); return nil })
		var all sync.WaitGroup
		for i := range 100 {
			all.Go(func() { assert.NoError(t, handle(returned(1, fmt.Sprint(i)))) })
		}
		<-time.After(time.Minute)
		synctest.Wait()
		require.Zero(t, handled.Load())
		require.Equal(t, 1, strings.Count(r.log.String(), "\n"))
		k.mu.Lock()
		k.err = nil
		k.mu.Unlock()
		all.Wait()
		require.EqualValues(t, 100, handled.Load())
		require.Zero(t, k.standing())
	})
}

// Nothing waits for longer than five minutes: the message goes back to its
// queue.
func TestCrashLoopGuard_WaitsForABoundedTime(t *testing.T) {
	for name, k := range map[string]*groups{
		"the database fails":            {err: errBoom},
		"another process has the range": {all: []suspect.Group{theirs(pending("a", 0, "u1", "u2"))}},
		"another process is faster":     {all: []suspect.Group{pending("a", 0, "u1")}, taken: true},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r, h := newRig(t, suspecting(k)), fails(nil)
				begin := time.Now()
				require.Error(t, r.handle(returned(1, "u1"), h.handle))
				require.Zero(t, h.attempts)
				require.Empty(t, r.letters)
				require.InDelta(t, 5*time.Minute, time.Since(begin), float64(time.Second))
			})
		})
	}
}

func theirs(g suspect.Group) suspect.Group {
	g.Owner = suspect.Other
	return g
}

func TestCrashLoopGuard_WaitsNoLongerThanTheWorkerRuns(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		stopping, goOn := make(chan struct{}), make(chan struct{})
		k := &groups{all: []suspect.Group{pending("a", 0, "u1"), pending("b", 0, "u2")}}
		r := newRig(t, suspecting(k), func(s *middleware.Settings) { s.Stopping = stopping })
		first, others := make(chan error, 1), make(chan error, 2)
		handle := r.chain(func(*message.Message) error { <-goOn; return nil })
		go func() { first <- handle(returned(2, "u1")) }()
		<-time.After(time.Second)
		go func() { others <- handle(returned(2, "u2")) }()
		go func() { others <- handle(returned(0, "u3")) }()
		<-time.After(time.Second)
		synctest.Wait()
		require.Empty(t, others)
		close(stopping)
		require.Error(t, <-others)
		require.Error(t, <-others)
		close(goOn)
		require.NoError(t, <-first, "what is being handled may finish")
		require.Equal(t, 1, k.standing(), "the other range is suspected as before")
	})
}

func TestCrashLoopGuard_AtMostOnceIsNotGrouped(t *testing.T) {
	k := &groups{err: errors.New("asked")}
	r, h := newRig(t, suspecting(k), atMostOnce), fails(nil)
	require.NoError(t, r.handle(returned(9, "u1"), h.handle))
	require.Equal(t, 1, h.attempts)
}
