package middleware_test

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/ThreeDotsLabs/watermill/message"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/answerfeed/answerfeed/app/failure"
	"github.com/answerfeed/answerfeed/app/transport"
	"github.com/answerfeed/answerfeed/middleware"
)

// marks outlive processes.
type marks struct {
	mu   sync.Mutex
	left map[string]int
	err  error
	away int // how many erasures fail first
}

var _ middleware.Marks = (*marks)(nil)

func key(handler, topic, identity string, requeues int) string {
	return fmt.Sprint(handler, topic, identity, requeues)
}

func (k *marks) Mark(_ context.Context, handler, topic, identity string, requeues int) (int, error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.err != nil {
		return 0, k.err
	}
	name := key(handler, topic, identity, requeues)
	k.left[name]++
	return k.left[name] - 1, nil
}

func (k *marks) Unmark(_ context.Context, handler, topic, identity string, requeues int) error {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.away > 0 {
		k.away--
		return errBoom
	}
	delete(k.left, key(handler, topic, identity, requeues))
	return k.err
}

func marking(k *marks) func(*middleware.Settings) {
	return func(s *middleware.Settings) { s.Marks = k }
}

// returned is a message that was delivered before so many times.
func returned(n int, id string) *message.Message {
	m := message.NewMessage(id, []byte(`{}`))
	m.SetContext(transport.WithDelivery(context.Background(), transport.Delivery{Returns: n}))
	return m
}

func TestSingleOut_MarksSuspectsAlone(t *testing.T) {
	for returns, marked := range []bool{false, false, true, true} {
		synctest.Test(t, func(t *testing.T) {
			k := &marks{left: map[string]int{}}
			r := newRig(t, marking(k))
			require.NoError(t, r.handle(returned(returns, "u1"), func(*message.Message) error {
				require.Equal(t, marked, len(k.left) == 1, "after %d returns", returns)
				return nil
			}))
			require.Empty(t, k.left, "erased")
		})
	}
}

func TestSingleOut_FiveMarksLeftBehindAreALetter(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		k := &marks{left: map[string]int{key(handlerName, topicName, "u1", 0): 4}}
		r, h := newRig(t, marking(k)), fails(nil)
		require.NoError(t, r.handle(returned(7, "u1"), h.handle), "four are not enough")
		require.Equal(t, 1, h.attempts)

		k.left[key(handlerName, topicName, "u1", 0)] = 5
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

func TestSingleOut_OneAtATimeBesideOthers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		k := &marks{left: map[string]int{}}
		r := newRig(t, marking(k))
		var mu sync.Mutex
		suspects, innocent := 0, 0
		most := 0
		handle := r.chain(func(m *message.Message) error {
			d, _ := transport.DeliveryOf(m)
			count := &innocent
			if d.Returns >= 2 {
				count = &suspects
			}
			mu.Lock()
			*count++
			most = max(most, suspects)
			mu.Unlock()
			<-time.After(10 * time.Millisecond)
			if d.Returns >= 2 {
				mu.Lock()
				suspects--
				mu.Unlock()
			}
			return nil
		})
		var all sync.WaitGroup
		for i := range 200 {
			all.Go(func() { assert.NoError(t, handle(returned(2*(i%2), fmt.Sprint(i)))) })
		}
		<-time.After(50 * time.Millisecond)
		synctest.Wait()
		require.Equal(t, 100, innocent, "they do not wait for the suspects")
		all.Wait()
		require.Equal(t, 1, most, "at a time")
		require.Empty(t, k.left)
	})
}

// A process that dies of something else does not blame the same one of those
// that were in flight each time.
func TestSingleOut_ChanceDecidesWhoGoesFirst(t *testing.T) {
	firsts := map[string]bool{}
	for range 20 {
		synctest.Test(t, func(t *testing.T) {
			r := newRig(t, marking(&marks{left: map[string]int{}}))
			var first sync.Once
			handle := r.chain(func(m *message.Message) error {
				first.Do(func() { firsts[m.UUID] = true })
				return nil
			})
			var all sync.WaitGroup
			for i := range 100 {
				all.Go(func() { assert.NoError(t, handle(returned(2, fmt.Sprint(i)))) })
				<-time.After(time.Microsecond) // they come in order
			}
			all.Wait()
		})
	}
	require.Greater(t, len(firsts), 5)
}

func TestSingleOut_GivesBackWhatCannotBeMarked(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r, h := newRig(t, marking(&marks{err: errBoom})), fails(nil)
		require.ErrorIs(t, r.handle(returned(2, "u1"), h.handle), errBoom)
		require.Zero(t, h.attempts)
		require.Empty(t, r.letters)
	})
}

func TestSingleOut_WaitsNoLongerThanTheWorkerRuns(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		stopping, goOn := make(chan struct{}), make(chan struct{})
		r := newRig(t, marking(&marks{left: map[string]int{}}), func(s *middleware.Settings) { s.Stopping = stopping })
		first, second := make(chan error, 1), make(chan error, 1)
		h := fails(nil)
		handle := r.chain(func(m *message.Message) error {
			if m.UUID == "u1" {
				<-goOn
				return nil
			}
			return h.handle(m)
		})
		go func() { first <- handle(returned(2, "u1")) }()
		<-time.After(time.Second)
		go func() { second <- handle(returned(2, "u2")) }()
		<-time.After(time.Second)
		synctest.Wait()
		require.Empty(t, second)
		close(stopping)
		require.Error(t, <-second)
		require.Zero(t, h.attempts)
		close(goOn)
		require.NoError(t, <-first, "what is being handled may finish")
	})
}

func TestSingleOut_ErasesTheMarkOfAFailure(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		k := &marks{left: map[string]int{}}
		r := newRig(t, marking(k))
		require.NoError(t, r.handle(returned(2, "u1"), fails(failure.Transient(errBoom)).handle))
		require.NoError(t, r.handle(returned(2, "u2"), func(*message.Message) error { panic("boom") }))
		require.Empty(t, k.left)
		require.Len(t, r.redelivered, 1)
		require.Len(t, r.letters, 1)
	})
}

func TestSingleOut_AtMostOnceIsNotSingledOut(t *testing.T) {
	k := &marks{err: errors.New("asked")}
	r, h := newRig(t, marking(k), atMostOnce), fails(nil)
	require.NoError(t, r.handle(returned(9, "u1"), h.handle))
	require.Equal(t, 1, h.attempts)
}

// A mark that a cut connection leaves behind would count as a death of the
// process that lives on.
func TestSingleOut_ErasesTheMarkAfterACut(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		k := &marks{left: map[string]int{}, away: 3}
		r := newRig(t, marking(k))
		require.NoError(t, r.handle(returned(2, "u1"), fails(nil).handle))
		require.Empty(t, k.left)
	})
}
