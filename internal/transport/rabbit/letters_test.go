package rabbit_test

import (
	"context"
	"strconv"
	"testing"
	"time"

	"github.com/ThreeDotsLabs/watermill/message"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
	amqp "github.com/rabbitmq/amqp091-go"
	"github.com/stretchr/testify/require"

	"github.com/answerfeed/answerfeed/internal/transport"
	"github.com/answerfeed/answerfeed/internal/transport/rabbit"
)

func consumeLetters(t testing.TB, r *rabbit.Transport) <-chan *message.Message {
	t.Helper()
	sub, err := r.Subscriber(transport.Consumer{Subscription: subscription(), Dead: true, Window: 10})
	require.NoError(t, err)
	ch, err := sub.Subscribe(context.WithoutCancel(t.Context()), topic)
	require.NoError(t, err)
	return ch
}

// hasty gives a nacked message back at once.
func hasty(url, p string) rabbit.Config {
	cfg := settings(url, p, noSettings)
	cfg.NackPause = time.Millisecond
	return cfg
}

// Letters that cannot be stored, for longer than a broker has patience, stay.
func TestLetters_SurviveDeliveryLimits(t *testing.T) {
	onEach(t, func(t *testing.T, server *broker, base string) {
		for name, limit := range map[string]int{"default": -1, "1": 1, "3": 3} {
			t.Run(name, func(t *testing.T) {
				p := base + name + "-"
				if limit >= 0 {
					policy(t, server, p, "^"+p, map[string]any{"delivery-limit": limit})
				}
				r := migrated(t, hasty(server.URL, p))
				const n = 5
				for i := range n {
					require.NoError(t, r.Publisher().Publish(topic, message.NewMessage(strconv.Itoa(i), []byte("\x00"))))
				}
				for messages := consume(t, r, n); ; {
					m := next(t, messages)
					m.Metadata.Set("reason_poisoned", "invalid")
					require.NoError(t, r.DeadLetter(t.Context(), m))
					m.Ack()
					if all := backlog(t, r); all.Dead == n {
						break
					}
				}
				dead := consumeLetters(t, r)
				for range 26 * n { // the table cannot be written
					next(t, dead).Nack()
				}
				got := map[string]bool{}
				for len(got) < n {
					m := next(t, dead)
					require.Equal(t, "\x00", string(m.Payload))
					require.Equal(t, "invalid", m.Metadata.Get("reason_poisoned"))
					got[m.UUID] = true
					m.Ack()
				}
				require.Eventually(t, func() bool { return backlog(t, r) == transport.Backlog{Handler: "feed", Topic: topic} }, patience, 20*time.Millisecond)
			})
		}
	})
}

// Neither do connections that are cut, of a worker that holds letters.
func TestLetters_SurviveCuts(t *testing.T) {
	onEach(t, func(t *testing.T, server *broker, p string) {
		policy(t, server, p, "^"+p, map[string]any{"delivery-limit": 1})
		r := migrated(t, hasty(server.URL, p))
		const n = 5
		for range n {
			require.NoError(t, r.Publisher().Publish(topic, message.NewMessage("m", nil)))
		}
		messages := consume(t, r, n)
		for range n {
			m := next(t, messages)
			require.NoError(t, r.DeadLetter(t.Context(), m))
			m.Ack()
		}
		proxy := startProxy(t, server.URL)
		for range 8 { // processes that hold the letters when their connection is cut
			holder := open(t, hasty(proxy.url, p))
			dead := consumeLetters(t, holder)
			for range n {
				next(t, dead)
			}
			proxy.cut()
			require.NoError(t, holder.Close())
		}
		dead := consumeLetters(t, r)
		for range n {
			next(t, dead).Ack()
		}
	})
}

func backlog(t testing.TB, r *rabbit.Transport) transport.Backlog {
	t.Helper()
	all, err := r.Backlog(t.Context())
	require.NoError(t, err)
	require.Len(t, all, 1)
	return all[0]
}

// A message that a broker gives up over its limit comes back, as a suspect.
func TestMessages_SurviveDeliveryLimits(t *testing.T) {
	onEach(t, func(t *testing.T, server *broker, p string) {
		policy(t, server, p, "^"+p, map[string]any{"delivery-limit": 1})
		cfg, log, registry := hasty(server.URL, p), &lines{}, prometheus.NewRegistry()
		cfg.Logger, cfg.Registry = log.logger(), registry
		r := migrated(t, cfg)
		// A reader that rejects each time what counts on every version: its
		// channel is closed with the message in flight.
		require.NoError(t, r.Publisher().Publish(topic, message.NewMessage("m", []byte("x"))))
		queue := p + subscription().Queue()
		dead := consumeLetters(t, r) // and with it what moves
		over := `answerfeed_broker_deaths_total`
		for deadline := time.Now().Add(patience); ; {
			require.Less(t, time.Now(), deadline)
			ch := bare(t, server.URL)
			d, ok, err := ch.Get(queue, false)
			require.NoError(t, err)
			if ok {
				require.Equal(t, "x", string(d.Body))
			}
			require.NoError(t, ch.Close())
			if n, err := testutil.GatherAndCount(registry, over); err == nil && n > 0 {
				break
			}
		}
		m := next(t, consume(t, r, 1))
		require.Equal(t, "m", m.UUID)
		delivery, _ := transport.DeliveryOf(m)
		require.GreaterOrEqual(t, delivery.Returns, 2, "it stays a suspect")
		require.Positive(t, log.count("delivery limit", "queue="+queue, "reason=delivery-limit"))
		require.NoError(t, r.Redeliver(t.Context(), m, time.Millisecond))
		m.Ack()
		select {
		case m := <-dead:
			require.Fail(t, "it is no letter", m.Metadata)
		default:
		}
	})
}

// What the broker gives up for another reason is a letter that says so, and
// can be sent back.
func TestBrokersLetters_SayWhy(t *testing.T) {
	onEach(t, func(t *testing.T, server *broker, p string) {
		cfg, log := settings(server.URL, p, noSettings), &lines{}
		cfg.Logger = log.logger()
		r := migrated(t, cfg)
		s, ch := subscription(), bare(t, server.URL)
		queue := p + s.Queue()
		dead := consumeLetters(t, r)
		letter := func(reason, text string) *message.Message {
			m := next(t, dead)
			require.Equal(t, reason, m.Metadata.Get("reason_poisoned"))
			require.Equal(t, s.Handler, m.Metadata.Get("handler_poisoned"))
			require.Equal(t, s.Topic, m.Metadata.Get("topic_poisoned"))
			require.Contains(t, m.Metadata.Get(transport.KeyError), text)
			require.Contains(t, m.Metadata.Get(transport.KeyError), queue)
			require.WithinDuration(t, time.Now(), transport.Time(m, transport.KeyLastFailedAt), time.Minute)
			require.Equal(t, "2", m.Metadata.Get(transport.KeyAttempts))
			require.Equal(t, "o", m.Metadata.Get("own"))
			m.Ack()
			require.Eventually(t, func() bool {
				return log.count("dead letter", "reason="+reason, "attempts=2", "handler=feed", "topic=answer-added", queue, "correlation_id=c") == 1
			}, patience, time.Millisecond)
			return m
		}
		publishing := amqp.Publishing{
			MessageId: "m", CorrelationId: "c", Body: []byte("{}"), DeliveryMode: amqp.Persistent,
			Headers: amqp.Table{"own": "o", transport.KeyAttempts: "2"},
		}
		brief := publishing
		brief.Expiration = "100"
		send(t, ch, p+topic, "", brief)
		m := letter("expired", "100 ms")
		require.NoError(t, r.Publisher().Publish(s.Queue(), m.Copy()), "requeued")

		policy(t, server, p, "^"+queue+"$", map[string]any{"max-length": 1, "overflow": "drop-head"})
		for range 2 {
			send(t, ch, p+topic, "", publishing)
		}
		_ = letter("maxlen", "max-length")
		require.Equal(t, "m", next(t, consume(t, r, 1)).UUID, "the rest is handled")
	})
}

// From a broker in alarm nothing is taken that could not be put anywhere: a
// process that dies then would spend the broker's patience.
func TestMovers_TakeNothingFromABrokerInAlarm(t *testing.T) {
	server := rough.get(t)
	p := prefix()
	older(t, bare(t, server.URL), p)
	ch := bare(t, server.URL)
	queue := p + subscription().Queue()
	require.NoError(t, ch.Confirm(false))
	c, err := ch.PublishWithDeferredConfirm("", queue+".dead", true, false, amqp.Publishing{MessageId: "letter", DeliveryMode: amqp.Persistent})
	require.NoError(t, err)
	require.True(t, c.Wait())

	ctl(t, server, "set_vm_memory_high_watermark", "0.00001")
	lifted := false
	lift := func() {
		if !lifted {
			lifted = true
			ctl(t, server, "set_vm_memory_high_watermark", "0.4")
		}
	}
	defer lift()
	log := &lines{}
	cfg := settings(server.URL, p, noSettings)
	cfg.Logger, cfg.PublishTimeout = log.logger(), time.Second
	r := migrated(t, cfg)
	dead := consumeLetters(t, r)
	require.Eventually(t, func() bool { return log.count("cannot be emptied", queue+".dead", "alarm") > 0 }, patience, 10*time.Millisecond)
	q, err := bare(t, server.URL).QueueDeclarePassive(queue+".dead", true, false, false, false, nil)
	require.NoError(t, err)
	require.Equal(t, 1, q.Messages)
	lift()
	m := next(t, dead)
	require.Equal(t, "letter", m.UUID)
	m.Ack()
}
