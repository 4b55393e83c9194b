package main

import (
	"context"
	"database/sql"
	"slices"

	"github.com/answerfeed/answerfeed/app"
	"github.com/answerfeed/answerfeed/app/event"
	"github.com/answerfeed/answerfeed/app/outbox"
	"github.com/answerfeed/answerfeed/handlers"
)

// throughOutbox is --mode async: the event is a row in the same transaction.
// The author waits for a commit, and for nobody else. A worker brings the event
// to whoever wants it.
func throughOutbox(ctx context.Context, tx *sql.Tx, topic string, e outbox.Event) error {
	return outbox.Publish(ctx, tx, topic, e)
}

// subscribers names n services that are measured, the feed as the last, in the
// order in which sync calls them.
func subscribers(n int) []string {
	all := []string{"statistics", "badges", "mail", "search", "feed"}
	return all[len(all)-n:]
}

// maxSubscribers is how many there are.
const maxSubscribers = 5

// tellers are handlers that call the same services as sync does: for the worker
// that is measured. While its service does not answer, a handler takes nothing
// in.
func tellers(c caller) []handlers.Handler {
	var all []handlers.Handler
	for i, name := range subscribers(len(c.urls)) {
		all = append(all, teller(c, "tell-"+name, c.urls[i]))
	}
	return all
}

func teller(c caller, name, url string) handlers.Handler {
	return handlers.Handler{
		Name: name,
		Needs: func(handlers.Env) []handlers.Dependency {
			return []handlers.Dependency{{Name: "service", Ping: func(ctx context.Context) error { return c.ping(ctx, url) }}}
		},
		Topics: func(handlers.Env) []handlers.Topic {
			tell := func(topic string) handlers.Topic {
				return app.On(topic, asItIs, func(ctx context.Context, payload []byte) error { return c.post(ctx, url, topic, payload) })
			}
			return []handlers.Topic{tell(event.TopicQuestionAdded), tell(event.TopicAnswerAdded)}
		},
	}
}

// asItIs decodes nothing: the service does.
func asItIs(payload []byte) ([]byte, error) { return slices.Clone(payload), nil }
