package rabbit_test

import (
	"context"
	"testing"
	"time"

	"github.com/ThreeDotsLabs/watermill/message"
	"github.com/ThreeDotsLabs/watermill/pubsub/tests"
	"github.com/stretchr/testify/require"

	"github.com/answerfeed/answerfeed/internal/transport"
	"github.com/answerfeed/answerfeed/internal/transport/rabbit"
)

// TestWatermill runs Watermill's own suite. Its topics come as it goes, and a
// consumer group is a handler.
func TestWatermill(t *testing.T) {
	url, p := shared.get(t).URL, prefix()
	group := func(t *testing.T, handler string) (message.Publisher, message.Subscriber) {
		cfg := settings(url, p, noSettings)
		cfg.NackPause = 20 * time.Millisecond
		r, err := rabbit.New(t.Context(), cfg)
		require.NoError(t, err)
		t.Cleanup(func() { require.NoError(t, r.Close()) })
		return r.Publisher(), subscriber{t, r, handler}
	}
	features := tests.Features{ConsumerGroups: true, Persistent: true}
	tests.TestPubSub(t, features, func(t *testing.T) (message.Publisher, message.Subscriber) { return group(t, "handler") }, group)
}

// subscriber is a transport as Watermill's suite takes one: it subscribes to
// any topic.
type subscriber struct {
	t       *testing.T
	r       *rabbit.Transport
	handler string
}

var _ message.SubscribeInitializer = subscriber{}

func (s subscriber) SubscribeInitialize(topic string) error {
	return s.r.Migrate(context.WithoutCancel(s.t.Context()), []transport.Subscription{{Topic: topic, Handler: s.handler}})
}

func (s subscriber) Subscribe(ctx context.Context, topic string) (<-chan *message.Message, error) {
	if err := s.SubscribeInitialize(topic); err != nil {
		return nil, err
	}
	sub, err := s.r.Subscriber(transport.Consumer{
		Subscription: transport.Subscription{Topic: topic, Handler: s.handler}, Window: 100,
	})
	if err != nil {
		return nil, err
	}
	return sub.Subscribe(ctx, topic)
}

func (s subscriber) Close() error { return s.r.Close() }
