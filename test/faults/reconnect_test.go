package faults

import (
	"net/url"
	"os"
	"regexp"
	"strconv"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/answerfeed/answerfeed/internal/verify"
)

// reconnects is how often the worker's connections are cut: 500 by make
// reconnects.
func reconnects(t testing.TB) int {
	t.Helper()
	text := os.Getenv("WORKER_TEST_RECONNECTS")
	if text == "" {
		return 20
	}
	n, err := strconv.Atoi(text)
	require.NoError(t, err)
	return n
}

// A worker whose connections to broker and database break again and again
// keeps nothing of them: it has no more goroutines and open files than after
// the first times.
func TestReconnects(t *testing.T) {
	const first = 5
	dsn := newDatabase(t, postgres.get(t))
	broker, toBroker := behindProxy(t, sharedBroker(t))
	database, toDatabase := behindProxy(t, dsn)
	p := onAMQP(t, toBroker).with(tablesIn(toDatabase))
	direct := place{p.dir, p.settings}.with(settings{"transport.amqp.url": sharedBroker(t)}).with(tablesIn(dsn))
	client, db := direct.open(t), direct.reader(t)
	publish(t, client, questions(reconnects(t)))
	w := p.start(t)
	w.drained(t)

	var goroutines, files float64
	for i := range first + reconnects(t) {
		require.Positive(t, broker.Cut())
		require.Positive(t, database.Cut())
		msgs := answers(i, 1)
		publish(t, client, msgs)
		require.Eventually(t, func() bool { return len(seenOf(t, db, map[string]time.Time{msgs[0].UUID: {}})) > 0 },
			within, 5*time.Millisecond, "an answer after cut %d", i)
		if i == first {
			w.drained(t)
			goroutines, files = w.gauge(t, "go_goroutines"), w.gauge(t, "process_open_fds")
		}
	}
	w.drained(t)
	// A pool has as many connections as were needed at once, so there may be a
	// few more. What is kept of every other cut shows.
	few := min(10, float64(reconnects(t))/2)
	require.Eventually(t, func() bool {
		return w.gauge(t, "go_goroutines") < goroutines+few && w.gauge(t, "process_open_fds") < files+few
	}, within, 100*time.Millisecond, "more than the %g goroutines and %g open files after %d cuts", goroutines, files, first)
	t.Logf("after %d cuts of both: %g goroutines, %g open files; after %d: %g and %g", first, goroutines, files,
		first+reconnects(t), w.gauge(t, "go_goroutines"), w.gauge(t, "process_open_fds"))
	w.noLetters(t)
}

// behindProxy returns a URL of the server by way of a proxy.
func behindProxy(t testing.TB, server string) (p *verify.Proxy, by string) {
	t.Helper()
	u, err := url.Parse(server)
	require.NoError(t, err)
	p, err = verify.NewProxy("tcp", u.Host)
	require.NoError(t, err)
	t.Cleanup(func() { _ = p.Close() })
	u.Host = p.Addr()
	return p, u.String()
}

// gauge is one of the worker's metrics, without labels.
func (w *worker) gauge(t require.TestingT, name string) float64 {
	found := regexp.MustCompile(`(?m)^` + name + ` (\S+)$`).FindSubmatch(w.page(t, "/metrics"))
	require.NotNil(t, found, name)
	value, err := strconv.ParseFloat(string(found[1]), 64)
	require.NoError(t, err)
	return value
}

// What the worker holds at 200 answers a second on RabbitMQ and PostgreSQL, in
// the first and in the last fifth of a minute, or of WORKER_TEST_STEADY; run it
// with -benchtime=1x. The heap is what is left after a collection, by way of
// the size at which the next one begins.
func BenchmarkSteady(b *testing.B) {
	const rate = 200
	length := time.Minute
	if text := os.Getenv("WORKER_TEST_STEADY"); text != "" {
		var err error
		length, err = time.ParseDuration(text)
		require.NoError(b, err)
	}
	p := onAMQP(b, sharedBroker(b)).with(tablesIn(newDatabase(b, postgres.get(b))))
	client := p.open(b)
	n := int(length.Seconds()) * rate
	publish(b, client, questions(n/4))
	w := p.start(b)
	w.drained(b)
	for b.Loop() {
		held := map[string][]float64{}
		begin := time.Now()
		for i := range n {
			<-time.After(time.Until(begin.Add(time.Duration(i) * time.Second / rate)))
			publish(b, client, answers(i, 1))
			if i%rate == 0 {
				for _, name := range []string{"go_memstats_next_gc_bytes", "go_goroutines", "process_open_fds", "process_resident_memory_bytes"} {
					held[name] = append(held[name], w.gauge(b, name))
				}
			}
		}
		for name, values := range held {
			b.ReportMetric(mean(values[:len(values)/5]), name+"-first")
			b.ReportMetric(mean(values[len(values)*4/5:]), name+"-last")
		}
		w.drained(b)
	}
}

func mean(values []float64) (m float64) {
	for _, v := range values {
		m += v / float64(len(values))
	}
	return m
}
