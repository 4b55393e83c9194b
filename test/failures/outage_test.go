package failures

import (
	"context"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/ThreeDotsLabs/watermill/message"
	"github.com/stretchr/testify/require"

	"github.com/answerfeed/answerfeed/app"
	"github.com/answerfeed/answerfeed/handlers"
)

const (
	// awayFor is how long the database is away: long enough that every
	// schedule of retries here would be used up many times over.
	awayFor = 2 * time.Minute
	// seenWithin and backWithin are promised.
	seenWithin, backWithin = 2 * time.Second, 5 * time.Second
)

// The database goes away under load, and is back two minutes later: no attempt
// is spent, no letter written, nothing lost, and one line of the log says each.
func TestDatabaseAway(t *testing.T) {
	t.Parallel()
	places := map[string]func(t *testing.T, dsn string) place{
		"PostgreSQL": func(t *testing.T, dsn string) place { return onPostgres(t, dsn) },
		"AMQP":       func(t *testing.T, dsn string) place { return onAMQP(t, dsn) },
	}
	for name, at := range places {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			server := ownPostgres(t)
			p := at(t, newDatabase(t, server))
			all := []handlers.Handler{recorder(nothingBefore)}
			quick := handler("recorder", retries(2, time.Second))
			client := p.open(t, all, quick)
			w := p.run(t, all, quick)
			db := p.reader(t)
			load := publishOn(t, client)

			eventually(t, "the load takes effect", func() bool { return ask[int](t, db, `SELECT count(*) FROM effects`) > 200 })
			server.Kill()
			begin := time.Now()
			eventually(t, "the outage is seen", func() bool { return !w.ready(t)["database"].Available })
			require.Less(t, time.Since(begin), seenWithin)
			require.Equal(t, 0, w.gauge(t, "answerfeed_dependency_available", "database"))
			<-time.After(awayFor)
			require.NoError(t, server.Start(t.Context()))
			begin = time.Now()
			var had int
			eventually(t, "the database answers", func() bool {
				return db.QueryRowContext(t.Context(), `SELECT count(*) FROM effects`).Scan(&had) == nil
			})
			eventually(t, "it goes on", func() bool { return ask[int](t, db, `SELECT count(*) FROM effects`) > had })
			took := time.Since(begin)
			t.Logf("back after %v", took)
			require.Less(t, took, backWithin)

			n := load.stop()
			eventually(t, "all take effect", func() bool { return ask[int](t, db, `SELECT count(*) FROM effects`) >= n })
			// What the kill left unconfirmed was published twice.
			eventually(t, "the copies are settled", func() bool { return left(t, client) == 0 })
			require.True(t, w.ready(t)["database"].Available)
			require.Equal(t, 1, w.gauge(t, "answerfeed_dependency_available", "database"))
			w.stop(t)
			requireEffects(t, db, n)
			requireEmpty(t, client)
			require.Zero(t, ask[int](t, db, countLetters))
			require.Empty(t, w.failed(t, "recorder"), "attempts that count")
			outcomes := w.deliveries(t, "recorder")
			require.Zero(t, outcomes["redelivered"]+outcomes["dead-letter"], "%v", outcomes)
			log := w.log.String()
			for _, text := range []string{"a dependency is away", "a dependency is back"} {
				require.Equal(t, 1, lines(log, text, "dependency=database"), text)
			}
			require.LessOrEqual(t, lines(log, "the queue cannot be used"), 4, "no hot loop: a line a queue and change")
		})
	}
}

// load publishes messages until it is stopped.
type load struct {
	cancel context.CancelFunc
	done   sync.WaitGroup
	n      int
}

// publishOn begins to publish, some 500 messages a second. What is not
// confirmed is published again.
func publishOn(t *testing.T, client *app.Client) *load {
	l := &load{}
	ctx, cancel := context.WithCancel(t.Context())
	l.cancel = cancel
	l.done.Go(func() {
		tick := time.NewTicker(20 * time.Millisecond)
		defer tick.Stop()
		for ctx.Err() == nil {
			<-tick.C
			var msgs []*message.Message
			for i := range 10 {
				msgs = append(msgs, message.NewMessage(fmt.Sprintf("message-%06d", l.n+i), []byte("{}")))
			}
			// To the end, also when the test wants no more: it may be there
			// though it was not confirmed.
			eventually(t, "it is published", func() bool { return client.Publisher().Publish(tried, msgs...) == nil })
			l.n += len(msgs)
		}
	})
	t.Cleanup(func() { l.stop() })
	return l
}

// stop returns how many messages were published.
func (l *load) stop() int {
	l.cancel()
	l.done.Wait()
	return l.n
}
