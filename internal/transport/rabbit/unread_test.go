package rabbit_test

import (
	"context"
	"fmt"
	"testing"

	"github.com/ThreeDotsLabs/watermill/message"
	"github.com/stretchr/testify/require"

	"github.com/answerfeed/answerfeed/internal/memory"
	"github.com/answerfeed/answerfeed/internal/transport"
)

// The broker sends ahead as many messages as the window has, however large
// they are. What is held of them stays within the budget, and all arrive.
func TestLargeMessages_StayWithinTheBudget(t *testing.T) {
	const n, size, fit = 60, 1 << 20, 5
	server := shared.get(t)
	r := migrated(t, settings(server.URL, prefix(), noSettings))
	for i := range n {
		require.NoError(t, r.Publisher().Publish(topic, message.NewMessage(fmt.Sprint(i), make([]byte, size))))
	}
	budget := memory.NewBudget(fit * memory.Cost(size))
	sub, err := r.Subscriber(transport.Consumer{Subscription: subscription(), Window: 1000, Memory: budget})
	require.NoError(t, err)
	messages, err := sub.Subscribe(context.WithoutCancel(t.Context()), topic)
	require.NoError(t, err)

	came := map[string]bool{}
	var held []*message.Message
	for len(came) < n {
		m := next(t, messages)
		came[m.UUID] = true
		if held = append(held, m); len(held) < fit && len(came) < n {
			continue
		}
		// Another holder may have nothing but its own part now.
		other := budget.Holder()
		require.LessOrEqual(t, other.Reserve(fit*memory.Cost(size), 1), fit*memory.Cost(size)/4)
		other.Close()
		for _, m := range held {
			m.Ack()
		}
		held = nil
	}
	require.NoError(t, sub.Close())
	whole := budget.Holder()
	require.Equal(t, fit*memory.Cost(size), whole.Reserve(fit*memory.Cost(size), fit*memory.Cost(size)), "all of it was given back")
}
