package rabbit_test

import (
	"context"
	"testing"
	"time"

	"github.com/ThreeDotsLabs/watermill/message"
	"github.com/stretchr/testify/require"

	"github.com/answerfeed/answerfeed/internal/testserver"
	"github.com/answerfeed/answerfeed/internal/transport"
	"github.com/answerfeed/answerfeed/internal/transport/rabbit"
)

// A delayed message whose queue refuses it when its time has come is kept by
// the broker, where no count shows it. RabbitMQ 4 tries again after
// dead_letter_worker_publisher_confirm_timeout, here 2 s instead of 3 minutes.
func TestDelay_WhatItsQueueRefuses_ComesLate(t *testing.T) {
	for _, name := range []string{"4.0", "4.3"} {
		t.Run(name, func(t *testing.T) {
			messages := refusedWhenDue(t, versions[name].get(t))
			untilDelayed(t, messages)
		})
	}
}

// RabbitMQ 3.10 tries again only after a restart.
func TestDelay_WhatItsQueueRefuses_OnRabbitMQ310_ComesAfterARestart(t *testing.T) {
	const tries = 5 * time.Second // more than the timeout, were it heeded
	server := rough.get(t)
	messages := refusedWhenDue(t, server)
	over := time.After(tries)
	for waiting := true; waiting; {
		select {
		case m := <-messages:
			require.NotEqual(t, "delayed", m.UUID, "this broker tries again: say so in the documents")
			m.Ack()
		case <-over:
			waiting = false
		}
	}
	server.Kill()
	require.NoError(t, server.Start(context.WithoutCancel(t.Context())))
	untilDelayed(t, messages)
}

// refusedWhenDue delays the message "delayed", lets the handler's queue refuse
// it when it is due, and then anything no more. It returns what the queue
// delivers from then on.
func refusedWhenDue(t *testing.T, server *testserver.RabbitMQ) <-chan *message.Message {
	t.Helper()
	const delay = 5 * time.Second
	p := prefix()
	s := subscription()
	s.Delays = []time.Duration{delay}
	r := open(t, settings(server.URL, p, noSettings))
	require.NoError(t, r.Migrate(t.Context(), []transport.Subscription{s}))
	require.NoError(t, r.Publisher().Publish(topic, message.NewMessage("delayed", nil)))
	messages, stop := receive(t, r, s)
	m := next(t, messages)
	ctl(t, server, "set_policy", p+"refusing", "^"+p+topic+`\.feed$`, `{"max-length":1,"overflow":"reject-publish"}`, "--apply-to", "queues")
	require.NoError(t, r.Redeliver(t.Context(), m, delay))
	m.Ack()
	stop()
	for r.Publisher().Publish(topic, message.NewMessage("before", nil)) == nil { // until the queue is full
	}
	require.Eventually(t, func() bool {
		all, err := r.Backlog(context.WithoutCancel(t.Context()))
		return err == nil && all[0].Delayed == 0
	}, patience, 50*time.Millisecond)
	ctl(t, server, "clear_policy", p+"refusing")
	messages, stop = receive(t, r, s)
	t.Cleanup(stop)
	return messages
}

func receive(t *testing.T, r *rabbit.Transport, s transport.Subscription) (messages <-chan *message.Message, stop func()) {
	t.Helper()
	sub, err := r.Subscriber(transport.Consumer{Subscription: s, Window: 10})
	require.NoError(t, err)
	messages, err = sub.Subscribe(context.WithoutCancel(t.Context()), topic)
	require.NoError(t, err)
	return messages, func() { require.NoError(t, sub.Close()) }
}

func untilDelayed(t *testing.T, messages <-chan *message.Message) {
	t.Helper()
	for {
		m := next(t, messages)
		m.Ack()
		if m.UUID == "delayed" {
			return
		}
	}
}
