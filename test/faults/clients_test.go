package faults

import (
	"bytes"
	"os/exec"
	"sync"
	"testing"
	"time"

	"github.com/ThreeDotsLabs/watermill"
	wamqp "github.com/ThreeDotsLabs/watermill-amqp/v2/pkg/amqp"
	"github.com/ThreeDotsLabs/watermill/message"
	amqp "github.com/rabbitmq/amqp091-go"
	"github.com/stretchr/testify/require"

	"github.com/answerfeed/answerfeed/app/event"
)

// Whoever speaks AMQP can feed the worker.
func TestForeignPublishers(t *testing.T) {
	for name, publish := range map[string]func(*testing.T, place, []ledgerEvent){
		"stock watermill-amqp":     publishStock,
		"amqp091 with odd headers": publishBare,
		"Python":                   publishPython,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p := onAMQP(t, sharedBroker(t))
			w := p.start(t)
			l := newLedger(t, 5, 500)
			publish(t, p, l.events)
			w.drained(t)
			l.check(t, w)
		})
	}
}

// stock is watermill-amqp's preset, told the names of exchanges and queues.
func (p place) stock() wamqp.Config {
	named := func(topic string) string { return p.settings["transport.prefix"] + topic }
	c := wamqp.NewDurablePubSubConfig(p.settings["transport.amqp.url"], func(topic string) string { return named(topic) + ".stock" })
	c.Exchange.GenerateName = named
	return c
}

func publishStock(t *testing.T, p place, events []ledgerEvent) {
	publisher, err := wamqp.NewPublisher(p.stock(), watermill.NopLogger{})
	require.NoError(t, err)
	for _, e := range events {
		require.NoError(t, publisher.Publish(e.topic, message.NewMessage(watermill.NewUUID(), e.payload)))
	}
	require.NoError(t, publisher.Close())
}

// publishBare sends headers of every type that AMQP has, none of which the
// worker asked for.
func publishBare(t *testing.T, p place, events []ledgerEvent) {
	conn, channel := p.dial(t)
	defer conn.Close()
	require.NoError(t, channel.Confirm(false))
	confirmations := make([]*amqp.DeferredConfirmation, 0, len(events))
	for i, e := range events {
		c, err := channel.PublishWithDeferredConfirm(p.settings["transport.prefix"]+e.topic, "any key", true, false, amqp.Publishing{
			ContentType: "application/json", DeliveryMode: amqp.Persistent, Timestamp: time.Now(), Body: e.payload,
			Headers: amqp.Table{
				"attempt": int32(i), "long": int64(1) << 40, "ratio": 0.5, "urgent": true, "nothing": nil, "bytes": []byte{0, 255},
				"at": time.Now(), "price": amqp.Decimal{Scale: 2, Value: 1234},
				"producer": amqp.Table{"version": int32(3), "tags": []any{"a", int64(1), amqp.Table{"deep": time.Now()}}},
				"x-death":  []any{amqp.Table{"queue": "elsewhere", "count": int64(3)}}, "x-retries": "4",
			},
		})
		require.NoError(t, err)
		confirmations = append(confirmations, c)
	}
	for _, c := range confirmations {
		require.True(t, c.Wait())
	}
}

func publishPython(t *testing.T, p place, events []ledgerEvent) {
	lines := map[string]*bytes.Buffer{}
	for _, e := range events {
		if lines[e.topic] == nil {
			lines[e.topic] = &bytes.Buffer{}
		}
		lines[e.topic].Write(append(e.payload, '\n'))
	}
	run := func(topic string, input *bytes.Buffer) (string, error) {
		cmd := exec.Command("python3", "../../examples/clients/publish_amqp.py", "--url", p.settings["transport.amqp.url"], topic)
		cmd.Stdin = input
		out, err := cmd.CombinedOutput()
		return string(out), err
	}
	for topic, input := range lines {
		out, err := run(p.settings["transport.prefix"]+topic, input)
		require.NoError(t, err, out)
		require.Contains(t, out, "all confirmed")
	}
	out, err := run(p.settings["transport.prefix"]+"no-such-topic", bytes.NewBufferString("{}\n"))
	require.Error(t, err)
	require.Contains(t, out, "NOT_FOUND")

	conn, channel := p.dial(t)
	defer conn.Close()
	require.NoError(t, channel.ExchangeDeclare(p.settings["transport.prefix"]+"unbound", amqp.ExchangeFanout, false, true, false, false, nil))
	out, err = run(p.settings["transport.prefix"]+"unbound", bytes.NewBufferString("{}\n"))
	require.Error(t, err)
	require.Contains(t, out, "no queue takes the message")
}

func (p place) dial(t *testing.T) (*amqp.Connection, *amqp.Channel) {
	t.Helper()
	conn, err := amqp.Dial(p.settings["transport.amqp.url"])
	require.NoError(t, err)
	channel, err := conn.Channel()
	require.NoError(t, err)
	return conn, channel
}

// A service of somebody else's gets the events too, by a stock subscriber with
// a queue of its own, whoever published them.
func TestStockSubscriber(t *testing.T) {
	t.Parallel()
	p := onAMQP(t, sharedBroker(t))
	client := p.open(t)
	subscriber, err := wamqp.NewSubscriber(p.stock(), watermill.NopLogger{})
	require.NoError(t, err)
	defer subscriber.Close()
	incoming, err := subscriber.Subscribe(t.Context(), event.TopicAnswerAdded)
	require.NoError(t, err)

	l := newLedger(t, 6, 2000)
	half := len(l.events) / 2
	var producers sync.WaitGroup
	producers.Go(func() { l.publish(t, client, 0, half) })
	producers.Go(func() { publishStock(t, p, l.events[half:]) })
	missing := map[string]bool{}
	for _, e := range l.events {
		if e.topic == event.TopicAnswerAdded {
			missing[string(e.payload)] = true
		}
	}
	late := time.After(within)
	for len(missing) > 0 {
		select {
		case m := <-incoming:
			delete(missing, string(m.Payload))
			m.Ack()
		case <-late:
			require.FailNow(t, "events are missing", "%d of them", len(missing))
		}
	}
	producers.Wait()

	// The worker's own queues have them as well.
	w := p.start(t)
	w.drained(t)
	l.check(t, w)
}
