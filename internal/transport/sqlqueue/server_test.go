package sqlqueue_test

import (
	"context"
	"sync"
	"testing"
	"time"

	"github.com/ThreeDotsLabs/watermill/message"
	"github.com/stretchr/testify/require"

	"github.com/answerfeed/answerfeed/internal/transport"
	"github.com/answerfeed/answerfeed/internal/transport/sqlqueue"
)

// A server that refuses to write loses nothing, and the flow goes on when it
// writes again.
func TestReadOnlyServer_LosesNothing(t *testing.T) {
	server := ownServer(t)
	at := databaseOn(t, server)
	q, _ := start(t, at, sqlqueue.Config{})
	publish(t, q, 10)
	messages := consume(t, q, 5)
	var held []*message.Message
	for range 5 {
		held = append(held, next(t, messages))
	}
	readOnly := func(value string) {
		conn := raw(t, at)
		exec(t, conn, "SET default_transaction_read_only = off")
		exec(t, conn, "ALTER SYSTEM SET default_transaction_read_only = "+value)
		exec(t, conn, "SELECT pg_reload_conf()")
	}
	readOnly("on")
	eventually(t, func() bool { return q.Publisher().Publish(topic, message.NewMessage("refused", nil)) != nil })
	for _, m := range held {
		m.Ack()
	}
	require.Error(t, q.Publisher().Publish(topic, message.NewMessage("refused", nil)))
	readOnly("off")
	for range 5 {
		next(t, messages).Ack()
	}
	eventually(t, func() bool {
		select {
		case m := <-messages: // which came again, since a claim was refused
			m.Ack()
		default:
		}
		return backlog(t, q) == transport.Backlog{}
	})
}

// A server that is killed and started again loses nothing that was confirmed,
// and the flow goes on within 5 s.
func TestServerKilled_UnderLoad(t *testing.T) {
	server := ownServer(t)
	at := databaseOn(t, server)
	q, _ := start(t, at, sqlqueue.Config{Lease: 2 * time.Second})
	messages := consume(t, q, 100)
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	var (
		mu   sync.Mutex
		sure = map[string]bool{}
		got  = map[string]bool{}
		last time.Time
		all  sync.WaitGroup
	)
	for range 8 {
		all.Go(func() {
			for ctx.Err() == nil {
				m := answers(1)[0]
				if q.Publisher().Publish(topic, m) == nil {
					mu.Lock()
					sure[m.UUID] = true
					mu.Unlock()
				}
			}
		})
	}
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		for m := range messages {
			m.Ack()
			mu.Lock()
			got[m.UUID], last = true, time.Now()
			mu.Unlock()
		}
	}()
	count := func() int {
		mu.Lock()
		defer mu.Unlock()
		return len(got)
	}
	for range 3 {
		enough := count() + 300
		eventually(t, func() bool { return count() > enough })
		server.Kill()
		require.NoError(t, server.Start(t.Context()))
		up := time.Now()
		eventually(t, func() bool {
			mu.Lock()
			defer mu.Unlock()
			return last.After(up)
		})
		require.Less(t, time.Since(up), 5*time.Second)
	}
	stop()
	all.Wait()
	eventually(t, func() bool {
		mu.Lock()
		defer mu.Unlock()
		for id := range sure {
			if !got[id] {
				return false
			}
		}
		return true
	})
	eventually(t, func() bool { return backlog(t, q) == transport.Backlog{} })
	require.NoError(t, q.Close())
	<-ended
}
