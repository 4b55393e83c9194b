package transporttest

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/ThreeDotsLabs/watermill"
	"github.com/ThreeDotsLabs/watermill/message"
	"github.com/stretchr/testify/require"

	"github.com/answerfeed/answerfeed/internal/transport"
)

const (
	// patience is how long an event may take before the row fails.
	patience = 60 * time.Second
	// watch is how long a row looks for what must not come.
	watch = 150 * time.Millisecond
	// poll is between two looks at the backlog.
	poll = 2 * time.Millisecond
	// long is a pause or lease that no row sees the end of.
	long = time.Hour
)

// The names that most rows use.
const (
	topic   = "answer-added"
	handler = "feed"
)

// stage is where one row plays.
type stage struct {
	*testing.T
	Broker
}

// subscription is the usual one, of another handler if one is named.
func subscription(handlers ...string) transport.Subscription {
	s := transport.Subscription{Topic: topic, Handler: handler, Delays: []time.Duration{delay, long}}
	if len(handlers) > 0 {
		s.Handler = handlers[0]
	}
	return s
}

// open returns a new transport with these queues, or the usual one.
func (s *stage) open(settings Settings, subs ...transport.Subscription) transport.Transport {
	s.Helper()
	if len(subs) == 0 {
		subs = []transport.Subscription{subscription()}
	}
	t := s.Open(s.T, settings)
	require.NoError(s, t.Migrate(s.Context(), subs))
	return t
}

// publish publishes n messages in one call, and returns their UUIDs.
func (s *stage) publish(t transport.Transport, to string, n int) []string {
	s.Helper()
	msgs, ids := make([]*message.Message, n), make([]string, n)
	for i := range n {
		ids[i] = watermill.NewUUID()
		msgs[i] = message.NewMessage(ids[i], fmt.Appendf(nil, `{"n":%d}`, i))
	}
	require.NoError(s, t.Publisher().Publish(to, msgs...))
	return ids
}

// consumption is a running consumer.
type consumption struct {
	s   *stage
	sub message.Subscriber
	ch  <-chan *message.Message
}

// window is a consumer of the usual queue with this many in flight.
func window(n int) transport.Consumer {
	return transport.Consumer{Subscription: subscription(), Window: n}
}

func (s *stage) consume(t transport.Transport, c transport.Consumer) consumption {
	s.Helper()
	return s.consumeIn(context.WithoutCancel(s.Context()), t, c)
}

func (s *stage) consumeIn(ctx context.Context, t transport.Transport, c transport.Consumer) consumption {
	s.Helper()
	sub, err := t.Subscriber(c)
	require.NoError(s, err)
	ch, err := sub.Subscribe(ctx, c.Topic)
	require.NoError(s, err)
	return consumption{s, sub, ch}
}

// next waits for a message.
func (c consumption) next() *message.Message {
	c.s.Helper()
	select {
	case m, open := <-c.ch:
		require.True(c.s, open, "the channel was closed instead of a message")
		require.NotNil(c.s, m)
		return m
	case <-time.After(patience):
		require.Fail(c.s, "no message came")
		return nil
	}
}

// take waits for n messages and leaves them in flight.
func (c consumption) take(n int) []*message.Message {
	c.s.Helper()
	msgs := make([]*message.Message, n)
	for i := range msgs {
		msgs[i] = c.next()
	}
	return msgs
}

// none watches that nothing comes.
func (c consumption) none() {
	c.s.Helper()
	select {
	case m, open := <-c.ch:
		require.True(c.s, open, "the channel was closed")
		require.Fail(c.s, "a message came", "%s", m.UUID)
	case <-time.After(watch):
	}
}

// ended waits for the channel's end, and allows no message before it.
func (c consumption) ended() {
	c.s.Helper()
	select {
	case _, open := <-c.ch:
		require.False(c.s, open, "a message came instead of the end")
	case <-time.After(patience):
		require.Fail(c.s, "the channel was not closed")
	}
}

func ids(msgs []*message.Message) []string {
	out := make([]string, len(msgs))
	for i, m := range msgs {
		out[i] = m.UUID
	}
	return out
}

func ack(msgs ...*message.Message) {
	for _, m := range msgs {
		m.Ack()
	}
}

// wait waits for an event.
func (s *stage) wait(done <-chan struct{}, what string) {
	s.Helper()
	select {
	case <-done:
	case <-time.After(patience):
		require.Fail(s, "this did not happen", what)
	}
}

// backlog is the usual queue's, without the age.
func (s *stage) backlog(t transport.Transport, handlers ...string) transport.Backlog {
	s.Helper()
	all, err := t.Backlog(s.Context())
	require.NoError(s, err)
	want := subscription(handlers...)
	for _, b := range all {
		if b.Topic == want.Topic && b.Handler == want.Handler {
			b.Topic, b.Handler, b.Oldest = "", "", 0
			return b
		}
	}
	require.Fail(s, "the queue is not in the backlog", want.Queue())
	return transport.Backlog{}
}

// settles waits until the usual queue's backlog is this.
func (s *stage) settles(t transport.Transport, want transport.Backlog, handlers ...string) {
	s.Helper()
	var have transport.Backlog
	ok := s.until(func() bool { have = s.backlog(t, handlers...); return have == want })
	require.True(s, ok, "the backlog stays %+v; want %+v", have, want)
}

// until looks again and again for a state that shall come.
func (s *stage) until(reached func() bool) bool {
	s.Helper()
	deadline := time.NewTimer(patience)
	defer deadline.Stop()
	tick := time.NewTicker(poll)
	defer tick.Stop()
	for !reached() {
		select {
		case <-tick.C:
		case <-deadline.C:
			return false
		}
	}
	return true
}
