package middleware

import (
	"context"
	"errors"
	"sync/atomic"
	"time"

	"github.com/ThreeDotsLabs/watermill/message"

	"github.com/answerfeed/answerfeed/app/event"
	"github.com/answerfeed/answerfeed/app/failure"
	"github.com/answerfeed/answerfeed/internal/suspect"
	"github.com/answerfeed/answerfeed/internal/transport"
)

// CrashLoop is the reason of a letter whose message was handled alone each time
// that the process died.
const CrashLoop failure.Reason = "crash-loop"

// aloneWithin is how long others wait for a message that is handled alone, at
// least.
const aloneWithin = time.Minute

// Suspects keeps the groups of what came back, where they outlive the process:
// see the package suspect.
type Suspects interface {
	// Look is what a member that comes back now has as Since.
	Look() int64
	Standing(ctx context.Context, queue string) ([]suspect.Group, error)
	// Begin returns false for a group that another process has taken.
	Begin(ctx context.Context, g suspect.Group) (id string, begun bool, err error)
	End(ctx context.Context, id string, unfinished bool)
}

// CrashLoopGuard handles what came back in groups, each with a durable row for
// as long as it is handled. What is delivered for the first time passes without
// one. A message of which the process died five times while it handled nothing
// else is a dead letter; those that were merely in flight beside it pass.
func CrashLoopGuard(s Settings) message.HandlerMiddleware {
	g := newGuard(&s)
	return func(next message.HandlerFunc) message.HandlerFunc {
		if s.Suspects == nil {
			return next
		}
		return func(m *message.Message) ([]*message.Message, error) {
			if d, _ := transport.DeliveryOf(m); d.Returns > 0 {
				return g.handle(next, m)
			}
			return s.beside(next, m, s.Stopping)
		}
	}
}

// Beside lets messages that are off their queue already wait for one of another
// queue that is handled alone.
func Beside(s Settings) message.HandlerMiddleware {
	return func(next message.HandlerFunc) message.HandlerFunc {
		return func(m *message.Message) ([]*message.Message, error) { return s.beside(next, m, nil) }
	}
}

func (s *Settings) beside(next message.HandlerFunc, m *message.Message, stopping <-chan struct{}) ([]*message.Message, error) {
	if s.Isolation == nil {
		return next(m)
	}
	if !s.Isolation.enter(m.Context(), stopping) {
		return nil, interrupted(errors.New("a message that the worker may have died of is handled alone"))
	}
	defer s.Isolation.leave(1)
	return next(m)
}

// handle handles what came back, when it is its turn.
func (g *guard) handle(next message.HandlerFunc, m *message.Message) ([]*message.Message, error) {
	until := g.holdUntil(m.Context())
	ctx, cancel := context.WithDeadline(m.Context(), until)
	defer cancel()
	if g.Dependencies != nil {
		if away := g.Dependencies.Wait(ctx, time.Until(until)); away != nil {
			return nil, interrupted(away)
		}
	}
	c := &comeback{
		member:  suspect.NewMember(event.MessageOf(ctx).Identity(), transport.Count(m, transport.KeyRequeues), g.Suspects.Look()),
		arrived: time.Now(),
		decided: make(chan decision, 1),
	}
	for fresh := true; ; fresh = false {
		d, ok := g.wait(ctx, c, fresh)
		switch {
		case !ok:
			return nil, interrupted(errors.New("it came back before, and others like it are handled first"))
		case d.guilty:
			noteFailure(m, transport.Count(m, transport.KeyAttempts)+suspect.MaxDeaths)
			g.Metrics.failed(g.Settings, CrashLoop)
			return nil, failure.Permanent(CrashLoop, errors.New("the worker died each of the last five times that it handled this message, and nothing else"))
		case d.group != nil:
			return g.inCompany(d.group, next, m)
		}
		if r, done := g.alone(d.alone, next, m); done {
			return r.out, r.err
		}
	}
}

// inGroup is a group that this process handles.
type inGroup struct {
	id         string
	suspect    bool
	members    atomic.Int64
	unfinished atomic.Bool
}

// inCompany handles a member of a group.
func (g *guard) inCompany(group *inGroup, next message.HandlerFunc, m *message.Message) (out []*message.Message, err error) {
	defer func() { g.ended(m.Context(), group, errors.Is(err, errInterrupted)) }()
	return next(m)
}

// ended books the end of one member.
func (g *guard) ended(ctx context.Context, group *inGroup, unfinished bool) {
	defer g.Isolation.leave(1)
	if unfinished {
		group.unfinished.Store(true)
	}
	if group.members.Add(-1) > 0 {
		return
	}
	g.Suspects.End(ctx, group.id, group.suspect && group.unfinished.Load())
	if group.suspect {
		g.next()
	}
}

// alone handles a message while nothing else begins in this process. done is
// false when it has to wait for its turn again.
func (g *guard) alone(group *suspect.Group, next message.HandlerFunc, m *message.Message) (r result, done bool) {
	ctx := m.Context()
	open := g.Isolation.shut(ctx, g.Stopping, max(aloneWithin, g.Timeout+2*abandonAfter))
	if open == nil { // another queue's, or the worker stops
		g.setBusy(false)
		return result{}, false
	}
	defer open()
	begin, cancel := context.WithTimeout(ctx, roundWithin)
	defer cancel()
	id, begun, err := g.Suspects.Begin(begin, *group)
	g.report(err)
	if err != nil || !begun {
		g.setBusy(false)
		return result{}, false
	}
	g.Metrics.group(g.Settings, groupAlone)
	if n, now := g.told[groupAlone].add(1); now {
		g.Logger.WarnContext(ctx, "a message is handled alone, since workers died of it or beside it", "deaths", group.Deaths, "messages", n)
	}
	defer func() {
		g.Suspects.End(ctx, id, errors.Is(r.err, errInterrupted))
		g.next()
	}()
	r.out, r.err = next(m)
	return r, true
}
