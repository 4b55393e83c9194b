package rabbit_test

import (
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/ThreeDotsLabs/watermill/message"
	amqp "github.com/rabbitmq/amqp091-go"
	"github.com/stretchr/testify/require"

	"github.com/answerfeed/answerfeed/internal/transport"
)

var refusalHandlers = []transport.Subscription{{Topic: topic, Handler: "feed"}, {Topic: topic, Handler: "probe"}}

// copies takes everything out of a queue and counts it by UUID.
func copies(t *testing.T, url, queue string) map[string]int {
	t.Helper()
	ch, came := bare(t, url), map[string]int{}
	for {
		d, ok, err := ch.Get(queue, true)
		require.NoError(t, err)
		if !ok {
			return came
		}
		came[d.MessageId]++
	}
}

func numbered(n int, body func(i int) []byte) (msgs []*message.Message) {
	for i := range n {
		msgs = append(msgs, message.NewMessage(fmt.Sprint(i), body(i)))
	}
	return msgs
}

// A message over the broker's limit, in size or in metadata, is refused with
// the reason; every other goes out once, also those of others meanwhile.
func TestPublish_TooLargeAmongOthers(t *testing.T) {
	onEach(t, func(t *testing.T, server *broker, prefix string) {
		cfg := settings(server.URL, prefix, noSettings)
		r := open(t, cfg)
		require.NoError(t, r.Migrate(t.Context(), refusalHandlers))
		const all, big, wordy = 61, 30, 50
		msgs := numbered(all, func(i int) []byte {
			if i == big {
				return make([]byte, sizeLimit+1)
			}
			return make([]byte, 2000*i) // some are larger than what goes without proof
		})
		msgs[wordy].Metadata.Set("text", strings.Repeat("x", frameLimit))
		neighbour := make(chan error, 1)
		go func() {
			var errs []error
			for i := range 50 {
				errs = append(errs, r.Publisher().Publish(topic, message.NewMessage(fmt.Sprint("neighbour ", i), nil)))
			}
			neighbour <- errors.Join(errs...)
		}()
		err := r.Publisher().Publish(topic, msgs...)
		require.NoError(t, <-neighbour)

		var refused *transport.PublishError
		require.ErrorAs(t, err, &refused)
		require.Len(t, refused.Unpublished, 2)
		for n, i := range []int{big, wordy} {
			require.Equal(t, i, refused.Unpublished[n].Index)
			require.ErrorIs(t, refused.Unpublished[n].Err, transport.ErrTooLarge)
		}
		require.ErrorContains(t, refused.Unpublished[0].Err, fmt.Sprint("max size ", sizeLimit))
		require.ErrorContains(t, refused.Unpublished[1].Err, "frame_max")

		// From then on the limit is known before anything is sent.
		err = r.Publisher().Publish(topic, msgs[big])
		require.ErrorIs(t, err, transport.ErrTooLarge)
		require.ErrorContains(t, err, fmt.Sprintf("the payload has %d bytes, and this broker takes %d at most", sizeLimit+1, sizeLimit))

		for _, s := range refusalHandlers {
			came := copies(t, server.URL, cfg.Prefix+s.Queue())
			require.Len(t, came, all-2+50, s.Queue())
			for id, n := range came {
				require.Equal(t, 1, n, "%s: message %s came more than once", s.Queue(), id)
			}
		}
	})
}

// The broker closes the channel under all who publish on it, for a reason that
// names no message: that one is found and refused, and what others had
// confirmed is not sent again.
func TestPublish_ChannelClosedForOneMessage(t *testing.T) {
	onEach(t, func(t *testing.T, server *broker, prefix string) {
		cfg := settings(server.URL, prefix, noSettings)
		r := open(t, cfg)
		require.NoError(t, r.Migrate(t.Context(), refusalHandlers))
		const callers, each, bad = 4, 200, 100
		var all sync.WaitGroup
		for c := range callers {
			all.Go(func() {
				msgs := make([]amqp.Publishing, each)
				for i := range msgs {
					msgs[i] = amqp.Publishing{MessageId: fmt.Sprintf("%d/%d", c, i), DeliveryMode: amqp.Persistent}
				}
				if c == 0 {
					msgs[bad].Expiration = "no number"
				}
				err := r.PublishRaw(t.Context(), topic, msgs...)
				if c > 0 {
					if err != nil {
						t.Errorf("an innocent's messages are not published: %v", err)
					}
					return
				}
				var refused *transport.PublishError
				if !errors.As(err, &refused) || len(refused.Unpublished) != 1 || refused.Unpublished[0].Index != bad ||
					!errors.Is(err, transport.ErrUnpublishable) || !strings.Contains(err.Error(), "invalid expiration") {
					t.Errorf("not the one message is refused: %v", err)
				}
			})
		}
		all.Wait()
		for _, s := range refusalHandlers {
			came := copies(t, server.URL, cfg.Prefix+s.Queue())
			require.Len(t, came, callers*each-1, s.Queue())
			for id, n := range came {
				require.LessOrEqual(t, n, 2, "%s: message %s", s.Queue(), id)
			}
		}
	})
}

// A queue that is full is named, and the others of its topic have each message
// once or twice, however often it is tried; when it takes messages again, so
// does the topic.
func TestPublish_QueueOfOneHandlerRefuses(t *testing.T) {
	onEach(t, func(t *testing.T, server *broker, prefix string) {
		cfg := settings(server.URL, prefix, noSettings)
		r := open(t, cfg)
		require.NoError(t, r.Migrate(t.Context(), refusalHandlers))
		full := cfg.Prefix + refusalHandlers[1].Queue()
		name := prefix + "full" // others' policies are on the same broker
		ctl(t, server.RabbitMQ, "set_policy", name, "^"+full+"$", `{"max-length":1,"overflow":"reject-publish"}`, "--apply-to", "queues")
		applied := bare(t, server.URL)
		require.Eventually(t, func() bool {
			return r.Publisher().Publish(refusalHandlers[1].Queue(), message.NewMessage("fills it", nil)) != nil
		}, patience, 10*time.Millisecond)

		msgs := numbered(10, func(int) []byte { return []byte("{}") })
		for range 20 {
			err := r.Publisher().Publish(topic, msgs...)
			require.ErrorIs(t, err, transport.ErrRefused)
			require.ErrorContains(t, err, "queue "+full+" is full")
			outcomes := transport.Outcomes(err, len(msgs))
			require.NotContains(t, outcomes, nil)
		}
		require.ErrorContains(t, r.Publisher().Publish(refusalHandlers[1].Queue(), msgs[0]), "queue "+full+" is full")
		for id, n := range copies(t, server.URL, cfg.Prefix+refusalHandlers[0].Queue()) {
			require.LessOrEqual(t, n, 2, "message %s", id)
		}

		ctl(t, server.RabbitMQ, "clear_policy", name)
		require.Eventually(t, func() bool {
			_, err := applied.QueuePurge(full, false)
			require.NoError(t, err)
			return r.Publisher().Publish(topic, msgs...) == nil
		}, patience, 10*time.Millisecond)
		require.Len(t, copies(t, server.URL, full), len(msgs))
	})
}
