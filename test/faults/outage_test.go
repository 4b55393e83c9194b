package faults

import (
	"database/sql"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/answerfeed/answerfeed/internal/testserver"
)

// backWithin is how long after the return of its broker a worker may take to
// consume again.
const backWithin = 5 * time.Second

// 50,000 messages pass through a network that breaks in every way, and a
// broker that is killed five times. Nothing is lost, every effect is there
// once, and the worker is back soon after each.
func TestBrokenNetworkAndKilledBroker(t *testing.T) {
	t.Parallel()
	broker := ownBroker(t)
	between := newNetwork(t, broker.URL)
	direct := onAMQP(t, broker.URL)
	client := direct.open(t)
	l := newLedger(t, 4, 50_000)
	n := len(l.events)
	w := direct.with(settings{"transport.amqp.url": between.url}).start(t)
	db := direct.reader(t)
	for i, bad := range toxics {
		first := i * n / len(toxics)
		// The broken network, a sign of life after it, the killed broker.
		healed, kill, last := first+n*2/25, first+n*3/25, (i+1)*n/len(toxics)

		var producer sync.WaitGroup
		between.with(t, bad.toxic, func() {
			broken, had := w.said(logBroken), effectsOf(t, db)
			producer.Go(func() { l.insist(t.Context(), client, first, healed, func(int) {}) })
			require.Eventually(t, func() bool {
				if bad.breaks {
					return w.said(logBroken) >= broken+2
				}
				return effectsOf(t, db) >= had+500
			}, within, 5*time.Millisecond, bad.name)
			producer.Wait()
		})
		producer.Go(func() { l.insist(t.Context(), client, healed, kill, func(int) {}) })
		back := consumesAgain(t, db)
		producer.Wait()
		t.Logf("%s: consumed again after %v", bad.name, back)

		// It dies while the producer is at it, which goes on when it is back.
		started := make(chan struct{})
		var once sync.Once
		producer.Go(func() {
			l.insist(t.Context(), client, kill, last, func(n int) {
				if n >= 500 {
					once.Do(func() { close(started) })
				}
			})
		})
		<-started
		broker.Kill()
		require.NoError(t, broker.Start(t.Context()))
		back = consumesAgain(t, db)
		t.Logf("broker killed: consumed again after %v", back)
		require.Less(t, back, backWithin)
		producer.Wait()
	}
	w.drained(t)
	l.check(t, w)
	w.terminated(t)
}

// logBroken is in the worker's log when it lost a connection to the broker.
const logBroken = "the connection to the broker broke"

// consumesAgain returns how long it takes until there are new effects.
func consumesAgain(t testing.TB, db *sql.DB) time.Duration {
	t.Helper()
	begin, had := time.Now(), effectsOf(t, db)
	require.Eventually(t, func() bool { return effectsOf(t, db) > had }, within, 5*time.Millisecond)
	return time.Since(begin)
}

// effectsOf counts what only grows as events take effect.
func effectsOf(t testing.TB, db *sql.DB) int {
	t.Helper()
	return count(t, db, "answers") + count(t, db, "leaderboard_answers")
}

// A worker that is told to stop while something is wrong with the network does
// not wait until it is healed.
func TestSIGTERM_InABrokenNetwork(t *testing.T) {
	t.Parallel()
	between := newNetwork(t, sharedBroker(t))
	p := onAMQP(t, sharedBroker(t))
	client := p.open(t)
	l := newLedger(t, 8, 20_000)
	for i, bad := range toxics {
		w := p.with(settings{"transport.amqp.url": between.url}).start(t)
		l.publish(t, client, i*len(l.events)/len(toxics), (i+1)*len(l.events)/len(toxics))
		between.with(t, bad.toxic, func() {
			atSomeMoment(i)
			t.Logf("%s: ended after %v", bad.name, w.terminated(t))
		})
	}
	w := p.start(t)
	w.drained(t)
	l.check(t, w)
}

// A broker in alarm takes no messages and reads nothing from whoever sent it
// one. A worker that has work in flight, and some that it cannot put off now,
// still ends when it is told to, and loses nothing.
func TestMemoryAlarm_SIGTERMEndsTheWorker(t *testing.T) {
	t.Parallel()
	const n, ill = 20_000, 100
	broker := ownBroker(t)
	p := onAMQP(t, broker.URL)
	p.config(t, "handlers:\n  sick:\n    retry: {attempts: 1, redeliver: ["+strings.Repeat("1s, ", 60)+"1s]}\n")
	client := p.open(t, counter(nil), sick(nil))
	publisher, msgs := client.Publisher(), counted(0, n+ill)
	require.NoError(t, publisher.Publish(topicCounted, msgs[:n]...))
	require.NoError(t, publisher.Publish(topicSick, msgs[n:]...))
	w := p.startProgram(t, "counter", "sick")
	watermark(t, broker, "0.0000001")
	require.Eventually(t, func() bool { return w.said("takes=false") > 0 }, within, 5*time.Millisecond, "the alarm is not noticed")
	t.Logf("with %d messages in flight it ended after %v", w.inFlight(t, "counter")+w.inFlight(t, "sick"), w.terminated(t))

	watermark(t, broker, "0.4")
	require.NoError(t, os.WriteFile(filepath.Join(p.dir, healed), nil, 0o600))
	w = p.startProgram(t, "counter", "sick")
	w.drained(t)
	w.noLetters(t)
	requireHandled(t, p, n+ill)
}

// watermark sets the share of the machine's memory beyond which the broker is
// in alarm.
func watermark(t testing.TB, broker *testserver.RabbitMQ, share string) {
	t.Helper()
	_, err := broker.Ctl(t.Context(), "set_vm_memory_high_watermark", share)
	require.NoError(t, err)
}
