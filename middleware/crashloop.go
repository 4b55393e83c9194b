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

// CrashLoop is the reason of a dead letter whose message was the only one in work
// each time that the process died.
const CrashLoop failure.Reason = "crash-loop"

// aloneWithin is the least time for which other messages wait while one message
// is handled alone.
const aloneWithin = time.Minute

// Suspects stores the groups of redelivered messages durably: see package
// suspect.
type Suspects interface {
	// Look returns the value that a member redelivered now gets as Since.

	Look() int64
	Standing(ctx context.Context, queue string) ([]suspect.Group, error)
	// Begin returns false for a group that another process has begun.
	Begin(ctx context.Context, g suspect.Group) (id string, begun bool, err error)
	End(ctx context.Context, id string, unfinished bool)
}

// CrashLoopGuard handles redelivered messages in groups. Each group has a durable
// row while it is handled, so that the next process knows which messages were in
// work when this one died. A first delivery needs no row. A message becomes a dead
// letter when the process died five times while it handled nothing else; messages
// that were merely in flight beside such a message are handled.
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
			return s.besideIsolated(next, m, s.Stopping)
		}
	}
}

// WaitForIsolation makes a message wait while another message is handled alone. It
// is for at-most-once delivery, whose messages are off their queue and cannot be
// given back.
func WaitForIsolation(s Settings) message.HandlerMiddleware {
	return func(next message.HandlerFunc) message.HandlerFunc {
		return func(m *message.Message) ([]*message.Message, error) { return s.besideIsolated(next, m, nil) }
	}
}

func (s *Settings) besideIsolated(next message.HandlerFunc, m *message.Message, stopping <-chan struct{}) ([]*message.Message, error) {
	if s.Isolation == nil {
		return next(m)
	}
	if !s.Isolation.enter(m.Context(), stopping) {
		return nil, interrupted(errors.New("another message, of which the worker may have died, is handled alone"))
	}
	defer s.Isolation.leave(1)
	return next(m)
}

// handle handles a redelivered message when its group begins.
func (g *groupQueue) handle(next message.HandlerFunc, m *message.Message) ([]*message.Message, error) {
	until := g.holdUntil(m.Context())
	ctx, cancel := context.WithDeadline(m.Context(), until)
	defer cancel()
	if g.Dependencies != nil {
		if away := g.Dependencies.Wait(ctx, time.Until(until)); away != nil {
			return nil, interrupted(away)
		}
	}
	c := &returnedMessage{
		member:  suspect.NewMember(event.MessageOf(ctx).Identity(), transport.Count(m, transport.KeyRequeues), g.Suspects.Look()),
		arrived: time.Now(),
		decided: make(chan decision, 1),
	}
	for fresh := true; ; fresh = false {
		d, ok := g.wait(ctx, c, fresh)
		switch {
		case !ok:
			return nil, interrupted(errors.New("the message was redelivered, and messages like it are handled first"))
		case d.guilty:
			noteFailure(m, transport.Count(m, transport.KeyAttempts)+suspect.MaxDeaths)
			g.Metrics.failed(g.Settings, CrashLoop)
			return nil, failure.Permanent(CrashLoop, errors.New("the worker died each of the last five times that it handled this message, and nothing else"))
		case d.group != nil:
			return g.handleInGroup(d.group, next, m)
		}
		if r, done := g.handleAlone(d.alone, next, m); done {
			return r.out, r.err
		}
	}
}

// inGroup is a group in work in this process.
type inGroup struct {
	id         string
	suspect    bool
	members    atomic.Int64
	unfinished atomic.Bool
}

// handleInGroup handles a member of a group.
func (g *groupQueue) handleInGroup(group *inGroup, next message.HandlerFunc, m *message.Message) (out []*message.Message, err error) {
	defer func() { g.memberDone(m.Context(), group, errors.Is(err, errInterrupted)) }()
	return next(m)
}

// memberDone counts the end of one member, and ends the group after the last.
func (g *groupQueue) memberDone(ctx context.Context, group *inGroup, unfinished bool) {
	defer g.Isolation.leave(1)
	if unfinished {
		group.unfinished.Store(true)
	}
	if group.members.Add(-1) > 0 {
		return
	}
	g.Suspects.End(ctx, group.id, group.suspect && group.unfinished.Load())
	if group.suspect {
		g.suspectDone()
	}
}

// handleAlone handles a message while no other message begins in this process.
// done is false when the message must wait for another round.
func (g *groupQueue) handleAlone(group *suspect.Group, next message.HandlerFunc, m *message.Message) (r result, done bool) {
	ctx := m.Context()
	open := g.Isolation.shut(ctx, g.Stopping, max(aloneWithin, g.Timeout+2*abandonAfter))
	if open == nil { // a message of another queue is alone, or the worker stops
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
		g.Logger.WarnContext(ctx, "a message is handled alone, because workers died while they handled it", "deaths", group.Deaths, "messages", n)
	}
	defer func() {
		g.Suspects.End(ctx, id, errors.Is(r.err, errInterrupted))
		g.suspectDone()
	}()
	r.out, r.err = next(m)
	return r, true
}
