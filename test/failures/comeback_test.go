package failures

import (
	"context"
	"math/rand/v2"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/answerfeed/answerfeed/handlers"
	"github.com/answerfeed/answerfeed/internal/testserver"
)

// A cut is not a death. What was in flight when connections were cut, twice,
// is handled in parallel: as fast as it would have been without. On each
// version of the broker, which count differently what was returned; each finds
// out, too, what a worker dies of.
func TestComebacks_OnEachBroker(t *testing.T) {
	t.Parallel()
	for _, suite := range testserver.Suites() {
		t.Run(suite.String(), func(t *testing.T) {
			t.Parallel()
			server, err := testserver.StartRabbitMQWith(t.Context(), testserver.RabbitMQOptions{Suite: suite})
			require.NoError(t, err)
			t.Cleanup(func() { require.NoError(t, server.Stop()) })
			p := onSQLite(t).with(map[string]string{"transport.kind": "amqp", "transport.amqp.url": server.URL})

			const innocent, guilty = 40, 1
			client := p.open(t, []handlers.Handler{recorder(nothingBefore)})
			publishGuilty(t, client, innocent, guilty)
			t.Logf("%d deaths", p.dieOfGuilty(t, innocent, guilty))
			p.requireGuilty(t, innocent, guilty)

			const messages, takes = 100, 5 * time.Second
			var begun atomic.Int64
			all := []handlers.Handler{recorder(func(ctx context.Context, _ []byte) error {
				begun.Add(1)
				select {
				case <-time.After(takes):
				case <-ctx.Done():
				}
				return ctx.Err()
			})}
			w := p.run(t, all)
			publishAll(t, client.Publisher(), numbered("cut", messages, "innocent"))
			eventually(t, "all are in flight", func() bool { return begun.Load() >= messages })
			var last time.Time
			for range 2 {
				_, err := server.Ctl(t.Context(), "close_all_connections", "a test")
				require.NoError(t, err)
				last = time.Now()
				eventually(t, "the worker is connected again", func() bool {
					connections, err := server.Ctl(t.Context(), "list_connections", "name")
					return err == nil && strings.Contains(connections, "->")
				})
			}
			db := p.reader(t)
			eventually(t, "all took effect", func() bool { return ask[int](t, db, `SELECT count(*) FROM effects`) == innocent+messages })
			require.Less(t, time.Since(last), 3*takes, "about two handler times, on a slow machine")
			eventually(t, "the second deliveries are settled, too", func() bool {
				queues, err := server.Ctl(t.Context(), "-q", "list_queues", "messages", "--no-table-headers")
				return err == nil && strings.Trim(queues, "0\n") == ""
			})
			require.Less(t, time.Since(last), 6*takes)
			w.stop(t)
			requireEffects(t, db, innocent+messages)
			require.Equal(t, guilty, ask[int](t, db, countLetters))
			require.Zero(t, ask[int](t, db, `SELECT count(*) FROM suspect_groups WHERE worker <> ''`), "groups that are left")
		})
	}
}

// An operator who kills workers again and again, each time with hundreds of
// messages in work, makes no letter of any.
func TestComebacks_KillsAccuseNobody(t *testing.T) {
	t.Parallel()
	onEach(t, func(t *testing.T, p place) {
		const messages, kills = 1000, 20
		client := p.open(t, []handlers.Handler{recorder(nothingBefore)})
		publishAll(t, client.Publisher(), numbered("innocent", messages, slow))
		db := p.reader(t)
		for range kills {
			w := p.begin(t)
			eventually(t, "it runs", w.runs)
			<-time.After(rand.N(600 * time.Millisecond))
			require.NoError(t, w.cmd.Process.Kill())
			<-w.ended
			p.endLeases(t, db)
		}
		over := func() bool { return ask[int](t, db, `SELECT count(*) FROM effects`) == messages }
		require.False(t, p.begin(t).dies(t, over))
		requireEmpty(t, client)
		requireEffects(t, db, messages)
		require.Zero(t, ask[int](t, db, countLetters))
	})
}

// Of three workers at once each takes its share of what is suspected, and
// they find what they die of together.
func TestComebacks_AFleetFindsTheGuilty(t *testing.T) {
	t.Parallel()
	onEach(t, func(t *testing.T, p place) {
		const innocent, guilty, workers = 100, 2, 3
		client := p.open(t, []handlers.Handler{recorder(nothingBefore)})
		publishGuilty(t, client, innocent, guilty)
		var all [workers]*process
		for i := range all {
			all[i] = p.begin(t)
		}
		db := p.reader(t)
		deaths := 0
		eventually(t, "it is over", func() bool {
			for i, w := range all {
				select {
				case <-w.ended:
					require.Equal(t, died, w.cmd.ProcessState.ExitCode(), w.log.String())
					deaths++
					p.endLeases(t, db)
					all[i] = p.begin(t)
				default:
				}
			}
			return ask[int](t, db, countLetters) == guilty && ask[int](t, db, `SELECT count(*) FROM effects`) == innocent
		})
		t.Logf("%d deaths", deaths)
		for _, w := range all {
			require.False(t, w.dies(t, func() bool { return true }))
		}
		p.requireGuilty(t, innocent, guilty)
		requireEmpty(t, client)
		require.LessOrEqual(t, deaths, guilty*(workers+7+5))
	})
}
