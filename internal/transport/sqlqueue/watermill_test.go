package sqlqueue_test

import (
	"context"
	"testing"
	"time"

	"github.com/ThreeDotsLabs/watermill/message"
	"github.com/ThreeDotsLabs/watermill/pubsub/tests"
	"github.com/stretchr/testify/require"

	"github.com/answerfeed/answerfeed/app/database"
	"github.com/answerfeed/answerfeed/internal/transport"
	"github.com/answerfeed/answerfeed/internal/transport/sqlqueue"
)

// TestWatermill runs Watermill's own suite. Its topics come as it goes, and a
// consumer group is a handler.
func TestWatermill(t *testing.T) { onBoth(t, watermillSuite) }

func watermillSuite(t *testing.T, at place) {
	db, err := database.Open(t.Context(), at.config())
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, db.Close()) })
	group := func(t *testing.T, handler string) (message.Publisher, message.Subscriber) {
		q, err := sqlqueue.New(db, sqlqueue.Config{NackPause: 20 * time.Millisecond})
		require.NoError(t, err)
		t.Cleanup(func() { require.NoError(t, q.Close()) })
		return q.Publisher(), subscriber{t, q, handler}
	}
	features := tests.Features{ConsumerGroups: true, Persistent: true}
	tests.TestPubSub(t, features, func(t *testing.T) (message.Publisher, message.Subscriber) { return group(t, "handler") }, group)
}

// subscriber is a transport as Watermill's suite takes one: it subscribes to
// any topic.
type subscriber struct {
	t       *testing.T
	q       *sqlqueue.Transport
	handler string
}

var _ message.SubscribeInitializer = subscriber{}

func (s subscriber) SubscribeInitialize(topic string) error {
	return s.q.Migrate(s.t.Context(), []transport.Subscription{{Topic: topic, Handler: s.handler}})
}

func (s subscriber) Subscribe(ctx context.Context, topic string) (<-chan *message.Message, error) {
	if err := s.SubscribeInitialize(topic); err != nil {
		return nil, err
	}
	sub, err := s.q.Subscriber(transport.Consumer{
		Subscription: transport.Subscription{Topic: topic, Handler: s.handler}, Window: 100,
	})
	if err != nil {
		return nil, err
	}
	return sub.Subscribe(ctx, topic)
}

func (s subscriber) Close() error { return s.q.Close() }
