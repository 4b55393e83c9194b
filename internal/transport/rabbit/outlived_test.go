package rabbit_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/ThreeDotsLabs/watermill/message"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/stretchr/testify/require"

	"github.com/answerfeed/answerfeed/internal/testserver"
	"github.com/answerfeed/answerfeed/internal/transport/rabbit"
)

// impatience is the consumer_timeout of the brokers below, which look every
// second whether it is over.
const impatience = 3 * time.Second

// impatient are brokers of each version that take a message back early.
var impatient = func() map[testserver.Suite]*lazy {
	all := map[testserver.Suite]*lazy{}
	for _, suite := range testserver.Suites() {
		all[suite] = &lazy{start: func() (*testserver.RabbitMQ, error) {
			return testserver.StartRabbitMQWith(context.Background(), testserver.RabbitMQOptions{Suite: suite, Erlang: fmt.Sprintf(
				"-rabbit consumer_timeout %d -rabbit channel_tick_interval 1000", impatience.Milliseconds())})
		}}
	}
	return all
}()

func stopImpatient() (err error) {
	for _, l := range impatient {
		err = errors.Join(err, l.stop())
	}
	return err
}

// logged takes log lines from many goroutines.
type logged struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *logged) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

// with are the lines with the words.
func (l *logged) with(words string) (lines []string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for line := range strings.Lines(l.b.String()) {
		if strings.Contains(line, words) {
			lines = append(lines, line)
		}
	}
	return lines
}

// watched is a migrated transport whose log and metrics are seen.
func watched(t *testing.T, server *testserver.RabbitMQ) (*rabbit.Transport, *logged, *prometheus.Registry) {
	t.Helper()
	return watchedAt(t, server, prefix())
}

// watchedAt has that prefix.
func watchedAt(t *testing.T, server *testserver.RabbitMQ, prefix string) (*rabbit.Transport, *logged, *prometheus.Registry) {
	t.Helper()
	log, registry := &logged{}, prometheus.NewRegistry()
	cfg := settings(server.URL, prefix, noSettings)
	cfg.Logger = slog.New(slog.NewTextHandler(log, &slog.HandlerOptions{Level: slog.LevelDebug}))
	cfg.Registry = registry
	return migrated(t, cfg), log, registry
}

// emptied waits until nothing is in the queue and in work.
func emptied(t *testing.T, r *rabbit.Transport) {
	t.Helper()
	require.Eventually(t, func() bool {
		b, err := r.Backlog(t.Context())
		return err == nil && b[0].Ready == 0 && b[0].InFlight == 0 && b[0].Delayed == 0
	}, patience, 50*time.Millisecond)
}

// begun counts how often each message was begun, by its UUID.
type begun struct {
	mu    sync.Mutex
	times map[string]int
	all   chan struct{} // closed with the first delivery of the last
}

// handle gives each message its own goroutine, as the router does.
func (b *begun) handle(messages <-chan *message.Message, n int, do func(m *message.Message)) *begun {
	b.times, b.all = map[string]int{}, make(chan struct{})
	go func() {
		for m := range messages {
			b.mu.Lock()
			b.times[m.UUID]++
			if b.times[m.UUID] == 1 && len(b.times) == n {
				close(b.all)
			}
			b.mu.Unlock()
			go do(m)
		}
	}()
	return b
}

func (b *begun) count() (messages, times int) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, n := range b.times {
		times += n
	}
	return len(b.times), times
}

func eachSuite(t *testing.T, test func(t *testing.T, server *testserver.RabbitMQ)) {
	for _, suite := range testserver.Suites() {
		t.Run(suite.String(), func(t *testing.T) {
			t.Parallel() // most of it is waiting
			test(t, impatient[suite].get(t))
		})
	}
}

// A handler that takes longer than the broker waits was begun again at each
// channel's end, for as long as the worker ran, without one line.
func TestOutlived_HandlerLongerThanConsumerTimeout(t *testing.T) {
	eachSuite(t, func(t *testing.T, server *testserver.RabbitMQ) {
		r, log, registry := watched(t, server)
		handled := (&begun{}).handle(consume(t, r, 10), 3, func(m *message.Message) {
			if m.UUID == "slow" {
				<-time.After(3 * impatience)
			}
			m.Ack()
		})
		require.NoError(t, r.Publisher().Publish(topic, message.NewMessage("slow", nil), message.NewMessage("a", nil), message.NewMessage("b", nil)))
		<-handled.all
		<-time.After(3 * impatience)
		emptied(t, r)
		messages, times := handled.count()
		require.Equal(t, 3, messages)
		require.Equal(t, 3, times, "each is begun once")
		lines := log.with("the broker closed a consumer")
		require.NotEmpty(t, lines)
		require.LessOrEqual(t, len(lines), 4, "one a close")
		for _, line := range lines {
			require.Contains(t, line, "in_flight=1")
			require.Regexp(t, "acknowledgement on channel .* timed out|consumer_timeout", line, "the broker's reason")
		}
		require.Equal(t, len(lines), int(sum(t, registry, "answerfeed_consumer_closes_total")))
		require.Positive(t, sum(t, registry, "answerfeed_rejoined_deliveries_total"))
	})
}

func sum(t *testing.T, registry *prometheus.Registry, name string) (total float64) {
	t.Helper()
	families, err := registry.Gather()
	require.NoError(t, err)
	for _, f := range families {
		if f.GetName() == name {
			for _, m := range f.GetMetric() {
				total += m.GetCounter().GetValue()
			}
		}
	}
	return total
}

// Messages in flight were all begun again after a cut.
func TestOutlived_ConnectionsCut(t *testing.T) {
	eachSuite(t, func(t *testing.T, server *testserver.RabbitMQ) {
		r, log, _ := watched(t, server)
		const n = 100
		goOn := make(chan struct{})
		handled := (&begun{}).handle(consume(t, r, 2*n), n, func(m *message.Message) {
			<-goOn
			m.Ack()
		})
		var all []*message.Message
		for i := range n {
			all = append(all, message.NewMessage(fmt.Sprint(i), []byte("same")))
		}
		require.NoError(t, r.Publisher().Publish(topic, all...))
		<-handled.all
		for cut := 1; cut <= 2; cut++ {
			ctl(t, server, "close_all_connections", "as in an upgrade")
			require.Eventually(t, func() bool {
				return len(log.with(`connected to the broker" connection=consuming`)) == cut
			}, patience, 10*time.Millisecond)
		}
		close(goOn)
		emptied(t, r)
		_, times := handled.count()
		require.Equal(t, n, times, "none is begun again")
		require.NotEmpty(t, log.with("CONNECTION_FORCED"))
	})
}

// Work that had lost its channel could not move its message: it was begun again
// with each failure.
func TestOutlived_FailuresAreMoved(t *testing.T) {
	server := rough.get(t)
	r, log, _ := watched(t, server)
	type move func(m *message.Message) error
	moves := map[string]move{
		"redelivered": func(m *message.Message) error { return r.Redeliver(m.Context(), m, time.Minute) },
		"letter":      func(m *message.Message) error { return r.DeadLetter(m.Context(), m) },
	}
	goOn := make(chan struct{})
	errs := make(chan error, len(moves))
	handled := (&begun{}).handle(consume(t, r, 10), len(moves), func(m *message.Message) {
		<-goOn
		errs <- moves[m.UUID](m)
		m.Ack()
	})
	for id := range moves {
		require.NoError(t, r.Publisher().Publish(topic, message.NewMessage(id, nil)))
	}
	<-handled.all
	ctl(t, server, "close_all_connections", "as in an upgrade")
	require.Eventually(t, func() bool { // delivered again: they wait
		return len(log.with(`connected to the broker" connection=consuming`)) == 1 && inFlight(t, r) == 2*int64(len(moves))
	}, patience, 10*time.Millisecond)
	close(goOn)
	for range moves {
		require.NoError(t, <-errs)
	}
	require.Eventually(t, func() bool {
		b, err := r.Backlog(t.Context())
		return err == nil && b[0].Ready == 0 && b[0].InFlight == 0 && b[0].Delayed == 1 && b[0].Dead == 1
	}, patience, 10*time.Millisecond)
	_, times := handled.count()
	require.Equal(t, len(moves), times, "none is begun again")
}

func inFlight(t *testing.T, r *rabbit.Transport) int64 {
	t.Helper()
	b, err := r.Backlog(t.Context())
	require.NoError(t, err)
	return b[0].InFlight
}

// What was nacked after its channel was gone is handled again, and so is what
// ended after another cut without an outcome that holds.
func TestOutlived_NackedComesAgain(t *testing.T) {
	server := rough.get(t)
	r, log, _ := watched(t, server)
	messages := consume(t, r, 10)
	require.NoError(t, r.Publisher().Publish(topic, message.NewMessage("x", nil)))
	first := next(t, messages)
	ctl(t, server, "close_all_connections", "as in an upgrade")
	require.Eventually(t, func() bool {
		return len(log.with(`connected to the broker" connection=consuming`)) == 1 && inFlight(t, r) == 2
	}, patience, 10*time.Millisecond)
	first.Nack()
	second := next(t, messages)
	require.Equal(t, "x", second.UUID)
	second.Ack()
	emptied(t, r)
}

// What ended while the broker was away is settled when it comes again.
func TestOutlived_EndedMeanwhile(t *testing.T) {
	proxy := startProxy(t, shared.get(t).URL)
	log := &logged{}
	cfg := settings(proxy.url, prefix(), noSettings)
	cfg.Logger = slog.New(slog.NewTextHandler(log, nil))
	r := migrated(t, cfg)
	messages := consume(t, r, 10)
	require.NoError(t, r.Publisher().Publish(topic, message.NewMessage("x", nil)))
	first := next(t, messages)
	proxy.hang(true) // who connects is not answered
	proxy.cut()
	require.Eventually(t, func() bool { return len(log.with("the connection to the broker broke")) > 0 }, patience, time.Millisecond)
	require.Eventually(t, func() bool { return len(log.with("the broker closed a consumer")) > 0 }, patience, time.Millisecond)
	first.Ack()
	proxy.hang(false)
	proxy.cut()
	emptied(t, r)
	require.NoError(t, r.Publisher().Publish(topic, message.NewMessage("y", nil)))
	require.Equal(t, "y", next(t, messages).UUID, "x is not begun again")
}

// A consumer that the broker cancelled, because its queue is gone, is a line.
func TestClosedByBroker_QueueDeleted(t *testing.T) {
	onEach(t, func(t *testing.T, server *broker, prefix string) {
		r, log, registry := watchedAt(t, server.RabbitMQ, prefix)
		messages := consume(t, r, 1)
		require.NoError(t, r.Publisher().Publish(topic, message.NewMessage("held", nil)))
		held := next(t, messages) // there is no room for another
		_, err := bare(t, server.URL).QueueDelete(prefix+subscription().Queue(), false, false, false)
		require.NoError(t, err)
		require.Eventually(t, func() bool { return len(log.with("the broker closed a consumer")) == 1 }, patience, 10*time.Millisecond)
		require.Contains(t, log.with("the broker closed a consumer")[0], "in_flight=1 reason=cancelled")
		require.EqualValues(t, 1, sum(t, registry, "answerfeed_consumer_closes_total"))
		held.Ack()
		require.Eventually(t, func() bool {
			return r.Publisher().Publish(topic, message.NewMessage("after", nil)) == nil
		}, patience, 50*time.Millisecond)
		require.Equal(t, "after", next(t, messages).UUID)
	})
}
