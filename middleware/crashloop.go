package middleware

import (
	"context"
	"errors"
	"math/rand/v2"
	"sync"
	"time"

	"github.com/ThreeDotsLabs/watermill/message"

	"github.com/answerfeed/answerfeed/app/event"
	"github.com/answerfeed/answerfeed/app/failure"
	"github.com/answerfeed/answerfeed/app/transport"
)

// CrashLoop is the reason of a letter whose message was being handled each
// time that the process died.
const CrashLoop failure.Reason = "crash-loop"

const (
	// suspectFrom is how many returns make a message a suspect: the broker
	// counts one for whatever was in flight when a process died, and for each
	// connection that was closed.
	suspectFrom = 2
	// maxMarks left behind prove it.
	maxMarks = 5
	// company is how long the first suspect waits for others, of which any
	// may go first.
	company = 100 * time.Millisecond
	// unmarkWithin bounds the erasing of a mark, which is tried each
	// unmarkPause: a mark that stays counts as a death of the process.
	unmarkWithin, unmarkPause = 5 * time.Second, 100 * time.Millisecond
)

// Marks are kept where they outlive the process.
type Marks interface {
	// Mark returns how many marks of this attempt were left behind before.
	Mark(ctx context.Context, handler, topic, identity string, requeues int) (left int, err error)
	Unmark(ctx context.Context, handler, topic, identity string, requeues int) error
}

// SingleOut handles messages that came back twice or more one at a time, each
// with a durable mark that is erased afterwards. A message whose process died
// five times with its mark standing is a dead letter; those that were merely
// in flight beside it pass. Who goes first is left to chance, so that a worker
// that dies of something else does not blame the same message each time.
func SingleOut(s Settings) message.HandlerMiddleware {
	line := &line{}
	return func(next message.HandlerFunc) message.HandlerFunc {
		if s.Marks == nil {
			return next
		}
		return func(m *message.Message) ([]*message.Message, error) {
			if d, _ := transport.DeliveryOf(m); d.Returns < suspectFrom {
				return next(m)
			}
			return s.single(line, next, m)
		}
	}
}

// single handles a suspect, when it is its turn.
func (s *Settings) single(line *line, next message.HandlerFunc, m *message.Message) ([]*message.Message, error) {
	ctx := m.Context()
	if !line.wait(ctx, s.Stopping) {
		return nil, interrupted(errors.New("it came back before, and others like it are handled first"))
	}
	defer line.leave()
	if s.Dependencies != nil {
		if away := s.Dependencies.Wait(ctx, holdWithin); away != nil {
			return nil, interrupted(away)
		}
	}
	identity, requeues := event.MessageOf(ctx).Identity(), transport.Count(m, transport.KeyRequeues)
	left, err := s.Marks.Mark(ctx, s.Handler, s.Topic, identity, requeues)
	if err != nil {
		return nil, s.unsafe(m, err)
	}
	if left >= maxMarks {
		noteFailure(m, transport.Count(m, transport.KeyAttempts)+left)
		s.Metrics.failed(s, CrashLoop)
		return nil, failure.Permanent(CrashLoop, errors.New("the worker died each of the last five times that it handled this message"))
	}
	defer s.unmark(ctx, identity, requeues)
	return next(m)
}

func (s *Settings) unmark(ctx context.Context, identity string, requeues int) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), unmarkWithin)
	defer cancel()
	for {
		err := s.Marks.Unmark(ctx, s.Handler, s.Topic, identity, requeues)
		if err == nil {
			return
		}
		select {
		case <-time.After(unmarkPause):
		case <-ctx.Done():
			s.Logger.WarnContext(ctx, "the mark of a message that came back before is left behind", "error", err)
			return
		}
	}
}

// line is where suspects wait for their turn.
type line struct {
	mu      sync.Mutex
	busy    bool
	waiting []chan struct{}
}

// wait returns true when it is the caller's turn, and false when that takes
// longer than holdWithin, or the worker stops, or ctx ends.
func (l *line) wait(ctx context.Context, stopping <-chan struct{}) bool {
	turn := make(chan struct{})
	l.mu.Lock()
	l.waiting = append(l.waiting, turn)
	if !l.busy {
		l.busy = true
		time.AfterFunc(company, l.leave)
	}
	l.mu.Unlock()
	patience := time.NewTimer(holdWithin)
	defer patience.Stop()
	select {
	case <-turn:
		return true
	case <-stopping:
	case <-ctx.Done():
	case <-patience.C:
	}
	return l.stepOut(turn)
}

// leave gives the turn to one of those who wait.
func (l *line) leave() {
	l.mu.Lock()
	defer l.mu.Unlock()
	n := len(l.waiting)
	if n == 0 {
		l.busy = false
		return
	}
	i := rand.IntN(n)
	close(l.waiting[i])
	l.waiting[i] = l.waiting[n-1]
	l.waiting = l.waiting[:n-1]
}

// stepOut takes the caller out of the line; true when it was given its turn
// meanwhile.
func (l *line) stepOut(turn chan struct{}) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	for i, other := range l.waiting {
		if other == turn {
			l.waiting[i] = l.waiting[len(l.waiting)-1]
			l.waiting = l.waiting[:len(l.waiting)-1]
			return false
		}
	}
	return true
}
