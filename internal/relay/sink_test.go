package relay_test

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/ThreeDotsLabs/watermill/message"
	"github.com/stretchr/testify/require"

	"github.com/answerfeed/answerfeed/internal/transport"
)

// sink is what has arrived on a topic: how often each payload came, and with
// which UUID.
type sink struct {
	mu    sync.Mutex
	came  map[string]int
	uuids map[string]string
	twice []string         // payloads that came with two UUIDs
	last  message.Metadata // of the last one
}

// metadata is that of the event that came last.
func (k *sink) metadata() message.Metadata {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.last
}

// listen makes the queue and takes what comes.
func (s *stage) listen(topic string) *sink {
	s.Helper()
	s.queue(topic)
	sub, err := s.to.Subscriber(transport.Consumer{Subscription: transport.Subscription{Topic: topic, Handler: "sink"}, Window: 1000, Grace: time.Second})
	require.NoError(s, err)
	messages, err := sub.Subscribe(context.Background(), topic)
	require.NoError(s, err)
	k := &sink{came: map[string]int{}, uuids: map[string]string{}}
	done := make(chan struct{})
	go func() {
		defer close(done)
		for m := range messages {
			k.take(m)
			m.Ack()
		}
	}()
	s.Cleanup(func() {
		require.NoError(s, sub.Close())
		<-done
	})
	return k
}

func (k *sink) take(m *message.Message) {
	k.mu.Lock()
	defer k.mu.Unlock()
	text := string(m.Payload)
	if before, known := k.uuids[text]; known && before != m.UUID {
		k.twice = append(k.twice, text)
	}
	k.came[text]++
	k.uuids[text] = m.UUID
	k.last = m.Metadata
}

func (k *sink) count() int {
	k.mu.Lock()
	defer k.mu.Unlock()
	return len(k.came)
}

func (k *sink) String() string { return fmt.Sprintf("%d events came", k.count()) }
