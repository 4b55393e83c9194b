package rabbit_test

import (
	"errors"
	"testing"
	"time"

	"github.com/ThreeDotsLabs/watermill"
	"github.com/ThreeDotsLabs/watermill/message"
	amqp "github.com/rabbitmq/amqp091-go"
	"github.com/stretchr/testify/require"

	"github.com/answerfeed/answerfeed/internal/testserver"
	"github.com/answerfeed/answerfeed/internal/transport"
	"github.com/answerfeed/answerfeed/internal/transport/rabbit"
	"github.com/answerfeed/answerfeed/internal/transport/transporttest"
)

// there asks for a queue or an exchange in a way that makes none.
func there(t *testing.T, url string, ask func(*amqp.Channel) error) bool {
	t.Helper()
	err := ask(bare(t, url))
	var refused *amqp.Error
	if errors.As(err, &refused) && refused.Code == amqp.NotFound {
		return false
	}
	require.NoError(t, err)
	return true
}

func TestRemove_LeavesNothingOfThePrefixAndAllOfTheOthers(t *testing.T) {
	url, mine, passing := shared.get(t).URL, prefix(), prefix()
	stays := migrated(t, settings(url, mine, transporttest.Settings{}))
	goes := open(t, settings(url, passing, transporttest.Settings{}))
	s := subscription()
	s.Delays = []time.Duration{time.Second, time.Minute}
	subs := []transport.Subscription{s}
	require.NoError(t, goes.Migrate(t.Context(), subs))
	publishTo(t, stays, 3)
	publishTo(t, goes, 100)

	queue, exchange := passing+s.Queue(), passing+s.Topic
	found := func() (names []string) {
		for _, name := range []string{queue, queue + ".dead", queue + ".letters", queue + ".held", queue + ".delay.1s", queue + ".delay.1m"} {
			if there(t, url, func(ch *amqp.Channel) error {
				_, err := ch.QueueDeclarePassive(name, true, false, false, false, nil)
				return err
			}) {
				names = append(names, name)
			}
		}
		for _, name := range []string{exchange, passing + "answerfeed.queues"} {
			if there(t, url, func(ch *amqp.Channel) error {
				return ch.ExchangeDeclarePassive(name, amqp.ExchangeFanout, true, false, false, false, nil)
			}) {
				names = append(names, name)
			}
		}
		return names
	}
	require.Len(t, found(), 8)
	require.NoError(t, goes.Remove(t.Context(), subs))
	require.Empty(t, found())
	require.NoError(t, goes.Remove(t.Context(), subs), "what is gone is no error")
	all, err := stays.Backlog(t.Context())
	require.NoError(t, err)
	require.EqualValues(t, 3, all[0].Ready)
}

// A broker that has just started still declares delay queues after some were
// removed.
func TestRemove_AfterTheBrokerStarted(t *testing.T) {
	server, err := testserver.StartRabbitMQ(t.Context())
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, server.Stop()) })
	s := subscription()
	for i := range 20 {
		s.Delays = append(s.Delays, time.Duration(i+1)*time.Second)
	}
	subs := []transport.Subscription{s}
	goes := open(t, settings(server.URL, prefix(), transporttest.Settings{}))
	require.NoError(t, goes.Migrate(t.Context(), subs))
	server.Kill()
	require.NoError(t, server.Start(t.Context()))
	require.NoError(t, goes.Remove(t.Context(), subs))
	require.NoError(t, open(t, settings(server.URL, prefix(), transporttest.Settings{})).Migrate(t.Context(), subs))
}

func TestRemove_NeedsAPrefix(t *testing.T) {
	r := open(t, rabbit.Config{URLs: []string{shared.get(t).URL}})
	require.ErrorIs(t, r.Remove(t.Context(), []transport.Subscription{subscription()}), transport.ErrNoPrefix)
}

func publishTo(t *testing.T, r *rabbit.Transport, n int) {
	t.Helper()
	msgs := make([]*message.Message, n)
	for i := range msgs {
		msgs[i] = message.NewMessage(watermill.NewUUID(), []byte(`{}`))
		msgs[i].SetContext(t.Context())
	}
	require.NoError(t, r.Publisher().Publish(topic, msgs...))
}
