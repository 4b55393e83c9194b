package rabbit_test

import (
	"strconv"
	"testing"
	"time"

	amqp "github.com/rabbitmq/amqp091-go"
	"github.com/stretchr/testify/require"

	"github.com/answerfeed/answerfeed/internal/transport"
	"github.com/answerfeed/answerfeed/internal/transport/rabbit"
)

// A day of these tests is short; brokers look at what expires each 5 s.
const (
	aDay  = 300 * time.Millisecond
	delay = 2 * time.Second
)

// Nothing is lost from delay queues that are used for 30 days. A queue that
// expires a day after its delay, as those of older workers, loses what is in
// it, though it is declared again each day.
func TestDelayQueues_LoseNothingInAMonth(t *testing.T) {
	onEach(t, func(t *testing.T, server *broker, p string) {
		ch := bare(t, server.URL)
		require.NoError(t, ch.Confirm(false))
		by := p + "by-name"
		require.NoError(t, ch.ExchangeDeclare(by, amqp.ExchangeDirect, true, false, false, false, nil))
		arguments := map[string]amqp.Table{"kept": rabbit.DelayArguments(p+"kept", by, delay), "expiring": olderDelayArguments(p+"expiring", delay)}
		for name, a := range arguments {
			a["x-dead-letter-exchange"] = by
			if _, expires := a["x-expires"]; expires {
				a["x-expires"] = (delay + aDay).Milliseconds()
			}
			_, err := ch.QueueDeclare(p+name, true, false, false, false, amqp.Table{"x-queue-type": "quorum"})
			require.NoError(t, err)
			require.NoError(t, ch.QueueBind(p+name, p+name, by, false, nil))
		}
		const days = 30
		day := time.NewTicker(aDay)
		defer day.Stop()
		for i := range days {
			for name, a := range arguments {
				_, err := ch.QueueDeclare(p+name+"-delay", true, false, false, false, a)
				require.NoError(t, err)
				send(t, ch, "", p+name+"-delay", amqp.Publishing{MessageId: strconv.Itoa(i), DeliveryMode: amqp.Persistent})
			}
			<-day.C
		}
		waiting := func(name string) (n int) {
			for _, queue := range []string{p + name, p + name + "-delay"} {
				if q, err := bare(t, server.URL).QueueDeclarePassive(queue, true, false, false, false, nil); err == nil {
					n += q.Messages
				}
			}
			return n
		}
		require.Less(t, waiting("expiring"), days, "a queue that expires loses")
		require.Eventually(t, func() bool {
			q, err := ch.QueueDeclarePassive(p+"kept", true, false, false, false, nil)
			return err == nil && q.Messages == days
		}, patience, 50*time.Millisecond, "all came out of the delay queue")
	})
}

// olderDelayArguments are those that workers gave their delay queues before.
func olderDelayArguments(queue string, delay time.Duration) amqp.Table {
	return amqp.Table{
		"x-queue-type": "quorum", "x-dead-letter-exchange": "", "x-dead-letter-routing-key": queue, "x-dead-letter-strategy": "at-least-once",
		"x-overflow": "reject-publish", "x-message-ttl": delay.Milliseconds(), "x-expires": (delay + 24*time.Hour).Milliseconds(),
	}
}

// older declares what an older worker declares at each start and each hour.
func older(t *testing.T, ch *amqp.Channel, p string, delays ...time.Duration) {
	t.Helper()
	s := subscription()
	queue := p + s.Queue()
	declare := func(name string, a amqp.Table) {
		_, err := ch.QueueDeclare(name, true, false, false, false, a)
		require.NoError(t, err)
	}
	declare(queue+".dead", amqp.Table{"x-queue-type": "quorum"})
	for _, d := range delays {
		declare(queue+".retry."+name(d), olderDelayArguments(queue, d))
	}
	declare(queue, amqp.Table{
		"x-queue-type": "quorum", "x-dead-letter-exchange": "", "x-dead-letter-routing-key": queue + ".dead",
		"x-dead-letter-strategy": "at-least-once", "x-overflow": "reject-publish",
	})
	require.NoError(t, ch.ExchangeDeclare(p+s.Topic, amqp.ExchangeFanout, true, false, false, false, nil))
	require.NoError(t, ch.QueueBind(queue, "", p+s.Topic, false, nil))
}

func name(d time.Duration) string {
	return map[time.Duration]string{time.Second: "1s", time.Hour: "1h", 2 * time.Hour: "2h"}[d]
}

// What an older worker left in its queues comes to its end, an older worker
// goes on beside a newer one, and what it puts into its delay queues is safe.
func TestOlderQueues_AreEmptied(t *testing.T) {
	onEach(t, func(t *testing.T, server *broker, p string) {
		s := subscription()
		s.Delays = []time.Duration{time.Second, time.Hour}
		queue, ch := p+s.Queue(), bare(t, server.URL)
		older(t, ch, p, s.Delays...)
		// This one would be gone soon: the older worker made it a day ago. It is
		// none of the schedule.
		soon := olderDelayArguments(queue, 2*time.Hour)
		soon["x-expires"] = int64(6000)
		_, err := ch.QueueDeclare(queue+".retry.2h", true, false, false, false, soon)
		require.NoError(t, err)
		letters := amqp.Table{"_watermill_message_uuid": "letter", "reason_poisoned": "invalid", "answerfeed_error": "why", "own": "kept"}
		for range 3 {
			send(t, ch, "", queue+".retry.1h", amqp.Publishing{MessageId: "1h", DeliveryMode: amqp.Persistent})
			send(t, ch, "", queue+".retry.2h", amqp.Publishing{MessageId: "2h", DeliveryMode: amqp.Persistent})
			send(t, ch, "", queue+".dead", amqp.Publishing{Headers: letters, Body: []byte("\xff\x00"), DeliveryMode: amqp.Persistent})
		}
		send(t, ch, "", queue+".retry.1s", amqp.Publishing{MessageId: "1s", DeliveryMode: amqp.Persistent})

		r := open(t, settings(server.URL, p, noSettings))
		require.NoError(t, r.Migrate(t.Context(), []transport.Subscription{s}))
		require.Equal(t, "1s", next(t, consume(t, r, 10)).UUID)
		dead := consumeLetters(t, r)
		for range 3 {
			m := next(t, dead)
			require.Equal(t, "letter", m.UUID)
			require.Equal(t, "\xff\x00", string(m.Payload))
			require.Equal(t, map[string]string{"reason_poisoned": "invalid", "answerfeed_error": "why", "own": "kept"}, map[string]string(m.Metadata))
			m.Ack()
		}
		holds := func(name string, n int) func() bool {
			return func() bool {
				q, err := bare(t, server.URL).QueueDeclarePassive(queue+name, true, false, false, false, nil)
				return err == nil && q.Messages == n
			}
		}
		require.Eventually(t, holds(".delay.1h", 3), patience, 50*time.Millisecond)
		require.Eventually(t, holds(".delay.2h", 3), patience, 50*time.Millisecond)
		older(t, ch, p, s.Delays...)

		// While the worker runs, an older one may put messages there.
		expired := time.After(12 * time.Second)
		<-expired
		send(t, ch, "", queue+".retry.2h", amqp.Publishing{MessageId: "late", DeliveryMode: amqp.Persistent})
		require.Eventually(t, holds(".delay.2h", 4), patience, 50*time.Millisecond, "a queue with a consumer does not expire")
		all, err := r.Backlog(t.Context())
		require.NoError(t, err)
		require.EqualValues(t, 7, all[0].Delayed)
		require.Zero(t, all[0].Dead)
	})
}
