package rabbit_test

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/ThreeDotsLabs/watermill/message"
	amqp "github.com/rabbitmq/amqp091-go"
	"github.com/stretchr/testify/require"

	"github.com/answerfeed/answerfeed/internal/transport"
)

// limited is the broker's URL for a user with these rights alone.
func limited(t *testing.T, server *broker, user, configure, write, read string) string {
	t.Helper()
	server.manage(t, http.MethodPut, "/users/"+user, map[string]any{"password": "pw", "tags": ""})
	t.Cleanup(func() { server.manage(t, http.MethodDelete, "/users/"+user, nil) })
	server.manage(t, http.MethodPut, "/permissions/%2f/"+user, map[string]any{"configure": configure, "write": write, "read": read})
	return strings.Replace(server.URL, "guest:guest", user+":pw", 1)
}

// A user whose rights end at the worker's names can do all that a worker does,
// with queues of his own and with those that another user made.
func TestRights_OnTheWorkersNamesAreEnough(t *testing.T) {
	onEach(t, func(t *testing.T, server *broker, base string) {
		for _, made := range []string{"mine", "theirs", "older"} {
			t.Run(made, func(t *testing.T) {
				p := base + made + "-"
				mine := "^" + p
				url := limited(t, server, p+"user", mine, mine, mine)
				s := subscription()
				s.Delays = []time.Duration{time.Second}
				subs := []transport.Subscription{s}
				switch made {
				case "theirs":
					require.NoError(t, open(t, settings(server.URL, p, noSettings)).Migrate(t.Context(), subs))
				case "older":
					older(t, bare(t, server.URL), p, s.Delays...)
				}
				r := open(t, settings(url, p, noSettings))
				require.NoError(t, r.Migrate(t.Context(), subs))
				require.NoError(t, r.Check(t.Context(), subs))
				messages, dead := consume(t, r, 10), consumeLetters(t, r)
				require.NoError(t, r.Publisher().Publish(topic, message.NewMessage("m", nil)))
				for _, delay := range []time.Duration{time.Millisecond, 0} {
					m := next(t, messages)
					require.NoError(t, r.Redeliver(t.Context(), m, delay))
					m.Ack()
				}
				m := next(t, messages)
				require.NoError(t, r.DeadLetter(t.Context(), m))
				m.Ack()
				m = next(t, dead)
				m.Ack()
				require.NoError(t, r.Publisher().Publish(s.Queue(), m.Copy()), "requeued")
				next(t, messages).Ack()
				other := settings(server.URL, p, noSettings)
				require.NoError(t, open(t, other).Migrate(t.Context(), subs), "whoever made the queue, all declare it")
			})
		}
		t.Run("what the broker gives up", func(t *testing.T) {
			p := base + "broker-"
			mine := "^" + p
			r := migrated(t, settings(limited(t, server, p+"user", mine, mine, mine), p, noSettings))
			send(t, bare(t, server.URL), p+topic, "", amqp.Publishing{MessageId: "m", Expiration: "1"})
			m := next(t, consumeLetters(t, r))
			require.Equal(t, "expired", m.Metadata.Get("reason_poisoned"))
			m.Ack()
		})
	})
}

// A right that is missing is said at the start, by name.
func TestRights_MissingOnesAreNamed(t *testing.T) {
	onEach(t, func(t *testing.T, server *broker, p string) {
		log := &lines{}
		migrated(t, settings(server.URL, p, noSettings))
		for name, test := range map[string]struct{ write, read, want string }{
			"publish to queues": {"^$", ".*", "(write) to exchange " + p + "answerfeed.queues"},
			"read what is held": {".*", `^(?!.*\.held$)`, "(read) queue " + p + "answer-added.feed.held"},
			"publish to topics": {`\.queues$`, ".*", ""},
		} {
			cfg := settings(limited(t, server, p+strings.ReplaceAll(name, " ", "-"), "^$", test.write, test.read), p, noSettings)
			cfg.Logger = log.logger()
			err := open(t, cfg).Check(t.Context(), []transport.Subscription{subscription()})
			if test.want == "" {
				require.NoError(t, err)
				continue
			}
			require.ErrorContains(t, err, test.want)
			require.ErrorContains(t, err, "the broker's user may not do this")
		}
		require.Equal(t, 1, log.count("may not publish to a topic", fmt.Sprintf("exchange=%sanswer-added", p)))
	})
}
