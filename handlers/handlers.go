// Package handlers holds what the worker does with events: one file a
// handler. A handler converts nothing and decides nothing about delivery; it
// names the topics that it takes, how their events are decoded, and the
// function that makes them take effect.
//
// The one thing to know: All is the list. A handler that is in it runs,
// has a section in the configuration, and a queue on each of its topics.
package handlers

import (
	"context"
	"errors"
	"fmt"

	"github.com/answerfeed/answerfeed/app/database"
	"github.com/answerfeed/answerfeed/app/event"
	"github.com/answerfeed/answerfeed/app/failure"
	"github.com/answerfeed/answerfeed/internal/feed"
	"github.com/answerfeed/answerfeed/internal/leaderboard"
)

// All is every handler of the worker.
func All() []Handler {
	return []Handler{
		Feed(),
		Leaderboard(),
	}
}

// Handler is one subscriber of events.
type Handler struct {
	// Name is [a-z0-9-]{1,60}. Its queues are named after it: renaming a
	// handler leaves its old queues behind.
	Name string
	// Options is a pointer to the handler's own settings with their defaults,
	// configured as handlers.NAME.options. nil = it has none.
	Options any
	// Concurrency is how many messages are in flight on each topic where the
	// configuration says nothing (handlers.NAME.concurrency): the bound of a
	// handler that calls a service. 0 = the default of all handlers, 1000.
	Concurrency int
	// Topics names what the handler takes. It is called for the names alone,
	// too, with an Env that holds nothing but Options: it must not use the
	// parts before an event comes.
	Topics func(Env) []Topic
	// Needs names what the handler cannot work without, beside the database,
	// which every handler needs: while one of them is away the handler takes
	// nothing in, and its failures are nobody's. nil = nothing.
	Needs func(Env) []Dependency
	// Migrate makes the handler's own tables, or brings them up to date. It
	// is called wherever the worker migrates, by several processes at once:
	// it must be repeatable. nil = it has none.
	Migrate func(context.Context, *database.DB) error
}

// Dependency is something that may be away for a while: a service, a search
// index.
type Dependency struct {
	// Name is shown in /readyz and logs, behind the handler's.
	Name string
	// Ping asks it for an answer, and returns nil when it came. It is called
	// every 500 ms, and has as long.
	Ping func(context.Context) error
}

// Env is what handlers may use.
type Env struct {
	DB *database.DB
	// Durability is what an effect in DB must survive before its message may be
	// acknowledged.
	Durability  database.Durability
	Feed        *feed.Store
	Leaderboard *leaderboard.Store
	// Options is what Handler.Options became: a pointer of the same type.
	Options any
}

// Topic is a topic with what a handler does about its events. See On.
type Topic struct {
	Name string
	// Handle takes one payload. What it returns is judged by package failure.
	Handle func(ctx context.Context, payload []byte) error
}

// On joins a topic, the decoder of its events, and a typed function. An event
// that cannot be decoded is a permanent failure. fn may be called by many
// goroutines at once, with events in any order, and again with an event that
// it has handled: see database.Once for effects that must not repeat.
func On[T any](topic string, decode func([]byte) (T, error), fn func(context.Context, T) error) Topic {
	return Topic{Name: topic, Handle: func(ctx context.Context, payload []byte) error {
		e, err := decode(payload)
		if err != nil {
			return undecodable(err)
		}
		return fn(ctx, e)
	}}
}

// undecodable keeps a decoder's own verdict, and the reason of an event that
// breaks the contract; anything else that fails to decode is malformed.
func undecodable(err error) error {
	var verdict *failure.Verdict
	if errors.As(err, &verdict) {
		return err
	}
	var broken *event.Error
	if errors.As(err, &broken) {
		return failure.Permanent(failure.Reason(broken.Reason), err)
	}
	return failure.Permanent(failure.Malformed, err)
}

// Validate reports the first handler that cannot be run.
func Validate(all []Handler) error {
	seen := map[string]bool{}
	for _, h := range all {
		if !event.ValidName(h.Name) {
			return fmt.Errorf("handler %q: its name must be 1 to 60 of a-z, 0-9 and -", h.Name)
		}
		if seen[h.Name] {
			return fmt.Errorf("handler %q: there are two of that name", h.Name)
		}
		seen[h.Name] = true
		if h.Concurrency < 0 {
			return fmt.Errorf("handler %q: its concurrency must not be below 0", h.Name)
		}
		if h.Topics == nil {
			return fmt.Errorf("handler %q: it takes no topic", h.Name)
		}
		topics := map[string]bool{}
		for _, t := range h.Topics(Env{Options: h.Options}) {
			if !event.ValidName(t.Name) || t.Handle == nil || topics[t.Name] {
				return fmt.Errorf("handler %q: topic %q: it needs a name of 1 to 60 of a-z, 0-9 and -, once, and a function", h.Name, t.Name)
			}
			topics[t.Name] = true
		}
		if len(topics) == 0 {
			return fmt.Errorf("handler %q: it takes no topic", h.Name)
		}
	}
	return nil
}
