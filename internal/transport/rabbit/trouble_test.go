package rabbit_test

import (
	"context"
	"fmt"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/ThreeDotsLabs/watermill"
	"github.com/ThreeDotsLabs/watermill/message"
	"github.com/stretchr/testify/require"

	"github.com/answerfeed/answerfeed/internal/testserver"
	"github.com/answerfeed/answerfeed/internal/transport"
	"github.com/answerfeed/answerfeed/internal/transport/rabbit"
)

func ctl(t *testing.T, server *testserver.RabbitMQ, args ...string) {
	t.Helper()
	_, err := server.Ctl(t.Context(), args...)
	require.NoError(t, err)
}

// Who may not, is told so at once, and what he may not.
func TestPermissionRefused(t *testing.T) {
	server := rough.get(t)
	p := prefix()
	r := migrated(t, settings(server.URL, p, noSettings)) // by guest, who may
	ctl(t, server, "add_user", "limited", "pw")
	ctl(t, server, "set_permissions", "limited", "^$", "^$", "^$")
	cfg := settings(strings.Replace(server.URL, "guest:guest", "limited:pw", 1), p, noSettings)
	cfg.Subscriptions = []transport.Subscription{subscription()}
	limited := open(t, cfg)
	for what, do := range map[string]func() error{
		"declare": func() error { return limited.Migrate(t.Context(), cfg.Subscriptions) },
		"publish": func() error { return limited.Publisher().Publish(topic, message.NewMessage("x", nil)) },
		"publish to a queue": func() error {
			return limited.Publisher().Publish(subscription().Queue(), message.NewMessage("x", nil))
		},
		"consume": func() error {
			sub, err := limited.Subscriber(transport.Consumer{Subscription: subscription(), Window: 1})
			require.NoError(t, err)
			_, err = sub.Subscribe(t.Context(), topic)
			return err
		},
	} {
		t.Run(what, func(t *testing.T) {
			var err error
			within(t, 5*time.Second, func() { err = do() })
			require.ErrorContains(t, err, "the broker's user may not do this")
			require.ErrorContains(t, err, "ACCESS_REFUSED")
		})
	}
	require.NoError(t, r.Publisher().Publish(topic, message.NewMessage("x", nil)))
}

// A broker in alarm stops publishing, within its time, and nothing else.
func TestMemoryAlarm(t *testing.T) {
	server := rough.get(t)
	cfg := settings(server.URL, prefix(), noSettings)
	cfg.PublishTimeout = time.Second
	r := migrated(t, cfg)
	messages := consume(t, r, 10)
	closing := open(t, cfg)
	for _, each := range []*rabbit.Transport{r, closing} {
		require.NoError(t, each.Publisher().Publish(topic, message.NewMessage("before", nil)))
	}
	held := []*message.Message{next(t, messages), next(t, messages)}

	ctl(t, server, "set_vm_memory_high_watermark", "0.00001")
	lifted := false
	lift := func() {
		if !lifted {
			lifted = true
			ctl(t, server, "set_vm_memory_high_watermark", "0.4")
		}
	}
	defer lift()
	large := make([]byte, 1<<20) // soon more than the sockets hold
	var all sync.WaitGroup
	for range 20 {
		all.Go(func() {
			took := within(t, patience, func() {
				err := closing.Publisher().Publish(topic, message.NewMessage("alarm", large))
				assertAlarm(t, err)
			})
			if took > 5*time.Second {
				t.Errorf("publishing takes %s", took)
			}
		})
	}
	all.Wait()
	var err error
	for range 2 { // the broker takes one before it blocks a connection
		ended, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
		m := message.NewMessage("alarm", nil)
		m.SetContext(ended)
		within(t, time.Second, func() { err = r.Publisher().Publish(topic, m) })
		cancel()
	}
	require.ErrorIs(t, err, context.DeadlineExceeded)

	// Consuming goes on: what comes is acknowledged.
	for _, m := range held {
		m.Ack()
	}
	require.NoError(t, r.Ping(t.Context()))
	require.Eventually(t, func() bool {
		select {
		case m := <-messages:
			m.Ack()
		default:
		}
		b, err := r.Backlog(t.Context())
		return err == nil && b[0].InFlight == 0 && b[0].Ready == 0
	}, patience, 10*time.Millisecond)
	within(t, 5*time.Second, func() { require.NoError(t, closing.Close()) })

	lift()
	require.Eventually(t, func() bool {
		return r.Publisher().Publish(topic, message.NewMessage("after", nil)) == nil
	}, patience, 10*time.Millisecond)
	for m := next(t, messages); m.UUID != "after"; m = next(t, messages) {
		m.Ack()
	}
}

func assertAlarm(t *testing.T, err error) {
	t.Helper()
	if err == nil || !strings.Contains(err.Error(), "alarm: ") {
		t.Errorf("not the alarm is the error: %v", err)
	}
}

// Nothing that was confirmed is lost while the broker hangs up again and
// again.
func TestConnectionsClosedByForce(t *testing.T) {
	server := rough.get(t)
	r := migrated(t, settings(server.URL, prefix(), noSettings))
	messages := consume(t, r, 100)
	over, stop := context.WithCancel(t.Context())
	defer stop()
	var (
		all   sync.WaitGroup
		mu    sync.Mutex
		sure  = map[string]bool{}
		taken = make(chan string, 100)
	)
	for range 8 {
		all.Go(func() {
			for over.Err() == nil {
				id := watermill.NewUUID()
				if err := r.Publisher().Publish(topic, message.NewMessage(id, []byte(id))); err != nil {
					t.Errorf("publishing: %v", err)
					return
				}
				mu.Lock()
				sure[id] = true
				mu.Unlock()
			}
		})
	}
	go func() {
		defer close(taken)
		for m := range messages {
			taken <- m.UUID
			m.Ack()
		}
	}()
	closed := make(chan error, 1)
	go func() {
		_, err := server.Ctl(t.Context(), "eval", `[begin [rabbit_networking:close_connection(P, "by force") || P <- rabbit_networking:connections()], timer:sleep(250) end || _ <- lists:seq(1, 20)].`)
		closed <- err
	}()
	got := map[string]bool{}
	for done := false; !done; {
		select {
		case id := <-taken:
			got[id] = true
		case err := <-closed:
			require.NoError(t, err)
			stop()
			done = true
		}
	}
	published := make(chan struct{})
	go func() { all.Wait(); close(published) }()
	for waiting := true; waiting; {
		select {
		case id := <-taken:
			got[id] = true
		case <-published:
			waiting = false
		}
	}
	require.Greater(t, len(sure), 100)
	t.Logf("%d confirmed", len(sure))
	for id := range got {
		delete(sure, id)
	}
	for timeout := time.After(patience); len(sure) > 0; {
		select {
		case id := <-taken:
			delete(sure, id)
		case <-timeout:
			require.Empty(t, sure, "confirmed and lost")
		}
	}
	go func() { // lets the reader end
		for range taken {
		}
	}()
}

// A broker that hangs is found out by its heartbeats; until then nobody waits
// longer than his context, and asking costs nothing.
func TestBrokerHangs(t *testing.T) {
	proxy := startProxy(t, shared.get(t).URL)
	cfg := settings(proxy.url, prefix(), noSettings)
	cfg.Heartbeat, cfg.PublishTimeout = time.Second, 500*time.Millisecond
	r := migrated(t, cfg)
	other := open(t, cfg)
	messages := consume(t, r, 10)
	require.NoError(t, r.Publisher().Publish(topic, message.NewMessage("before", nil)))
	next(t, messages).Ack()
	idle := runtime.NumGoroutine()
	proxy.hang(true)
	for range 100 {
		ctx, cancel := context.WithTimeout(t.Context(), 5*time.Millisecond)
		require.Error(t, r.Ping(ctx))
		cancel()
	}
	require.Less(t, runtime.NumGoroutine(), idle+10, "a ping leaves no goroutine")
	within(t, 2*time.Second, func() {
		require.Error(t, r.Publisher().Publish(topic, message.NewMessage("meanwhile", nil)))
	})
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	within(t, time.Second, func() {
		_, err := r.Backlog(ctx)
		require.ErrorIs(t, err, context.DeadlineExceeded)
	})
	within(t, 10*time.Second, func() { require.NoError(t, other.Close()) })

	// The connections are given up, and made again.
	proxy.hang(false)
	proxy.cut()
	require.Eventually(t, func() bool {
		return r.Publisher().Publish(topic, message.NewMessage("after", nil)) == nil
	}, patience, 10*time.Millisecond)
	for m := next(t, messages); m.UUID != "after"; m = next(t, messages) {
		m.Ack()
	}
}

// Who closes the transport does not wait for an answer of a broker that is slow
// to let it in again, of which each may take 5 s.
func TestClose_WhileItConnectsAgain(t *testing.T) {
	proxy := startProxy(t, shared.get(t).URL)
	r, err := rabbit.New(t.Context(), settings(proxy.url, prefix(), noSettings))
	require.NoError(t, err)
	proxy.hang(true)
	proxy.cut()
	proxy.connected(t, 2)
	within(t, 4*time.Second, func() { require.NoError(t, r.Close()) })
}

// What is ours is declared again even if it was another process that made it,
// and what is nobody's is an error.
func TestPublish_ToOthersQueues(t *testing.T) {
	url, p := shared.get(t).URL, prefix()
	migrated(t, settings(url, p, noSettings))
	r := open(t, settings(url, p, noSettings))
	require.NoError(t, r.Publisher().Publish(topic, message.NewMessage("x", nil)))
	require.NoError(t, r.Publisher().Publish(subscription().Queue(), message.NewMessage("x", nil)))
	require.ErrorIs(t, r.Publisher().Publish("question-added", message.NewMessage("x", nil)), transport.ErrNoQueue)
	require.ErrorIs(t, r.Publisher().Publish(fmt.Sprintf("%0300d", 1), message.NewMessage("x", nil)), transport.ErrNoQueue)
}
