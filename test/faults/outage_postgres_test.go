package faults

import (
	"context"
	"database/sql"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"github.com/answerfeed/answerfeed/app"
)

// 50,000 messages pass through PostgreSQL, which holds both queues and tables,
// while it is killed five times, loses connections in the middle of COMMIT,
// and is read-only for a while. Nothing is lost, every effect is there once,
// nothing is dead-lettered, and the worker is back soon after each. Some more
// fail all the while, and are put off again and again.
func TestKilledPostgres(t *testing.T) {
	t.Parallel()
	const rounds, readOnlyRound, ill = 5, 2, 200
	server := ownPostgres(t)
	dsn := newDatabase(t, server)
	between := newNetwork(t, dsn)
	p := onPostgres(t, dsn)
	p.config(t, "handlers:\n  sick:\n    retry: {attempts: 1, redeliver: ["+strings.Repeat("2s, ", 99)+"2s]}\n")
	client := p.open(t, keeper(), sick(nil))
	out := output{l: newLedger(t, 9, 40_000), keep: 4}
	n := len(out.l.events)
	w := p.with(queuesIn(between.url)).with(tablesIn(between.url)).startProgram(t, "keeper", "sick")
	require.NoError(t, client.Publisher().Publish(topicSick, counted(0, ill)...))
	for i := range rounds {
		first, half, last := i*n/rounds, (2*i+1)*n/rounds/2, (i+1)*n/rounds

		// It dies while the producer is at it, which goes on when it is back.
		var producer sync.WaitGroup
		started := make(chan struct{})
		begins := sync.OnceFunc(func() { close(started) })
		producer.Go(func() {
			out.insist(t.Context(), client, first, half, func(n int) {
				if n >= 500 {
					begins()
				}
			})
		})
		<-started
		server.Kill()
		require.NoError(t, server.Start(t.Context()))
		back := consumesAgain(t, p.reader(t))
		t.Logf("killed: consumed again after %v", back)
		require.Less(t, back, backWithin)
		producer.Wait()

		if i == readOnlyRound {
			producer.Go(func() { out.insist(t.Context(), client, half, last, func(int) {}) })
			t.Logf("read-only: consumed again after %v", readOnly(t, server.DSN, w, p.reader(t)))
			producer.Wait()
			continue
		}
		// Commits go through all the time, and of some nobody learns.
		// A part is published once the network is well, so that there is
		// something left to consume.
		db, cut := p.reader(t), cutCommits.Load()
		late, well := (half+3*last)/4, make(chan struct{})
		between.with(t, toxic{cutAtCommit, `{"after": 3}`, true}, func() {
			had := effectsOf(t, db)
			producer.Go(func() {
				out.insist(t.Context(), client, half, late, func(int) {})
				<-well
				out.insist(t.Context(), client, late, last, func(int) {})
			})
			require.Eventually(t, func() bool {
				return cutCommits.Load() >= cut+10 && effectsOf(t, db) >= had+500
			}, within, 5*time.Millisecond)
		})
		close(well)
		back = consumesAgain(t, db)
		t.Logf("cut in the middle of %d commits: consumed again after %v", cutCommits.Load()-cut, back)
		require.Less(t, back, backWithin)
		producer.Wait()
	}
	require.NoError(t, os.WriteFile(filepath.Join(p.dir, healed), nil, 0o600))
	w.drained(t)
	out.l.check(t, w)
	requireKept(t, p.reader(t), n/out.keep)
	requireHandled(t, p, ill)
	w.terminated(t)
}

// readOnlyFor is how long a database takes no writes, as one does after a
// failover.
const readOnlyFor = 10 * time.Second

// readOnly makes all databases of the server read-only for a while, in which
// nothing takes effect, and returns how long afterwards something did.
func readOnly(t testing.TB, server string, w *worker, db *sql.DB) time.Duration {
	t.Helper()
	admin, err := pgx.Connect(t.Context(), server)
	require.NoError(t, err)
	defer admin.Close(context.Background())
	set := func(how string) {
		for _, query := range []string{`ALTER SYSTEM ` + how, `SELECT pg_reload_conf()`} {
			_, err := admin.Exec(t.Context(), query)
			require.NoError(t, err)
		}
	}
	away := w.said(logReadOnly)
	set(`SET default_transaction_read_only = on`)
	over := time.After(readOnlyFor)
	// Told of the queues, and of the tables if a message in work needed them:
	// none is claimed any more.
	require.Eventually(t, func() bool { return w.said(logReadOnly) > away }, readOnlyFor/2, 5*time.Millisecond)
	// A transaction that began before may still commit.
	require.Eventually(t, func() bool {
		var before int
		err := admin.QueryRow(t.Context(), `SELECT count(*) FROM pg_stat_activity WHERE xact_start < pg_conf_load_time() AND pid <> pg_backend_pid()`).Scan(&before)
		return err == nil && before == 0
	}, readOnlyFor/2, 5*time.Millisecond)
	had := effectsOf(t, db)
	<-over
	require.Equal(t, had, effectsOf(t, db))
	set(`RESET default_transaction_read_only`)
	back := consumesAgain(t, db)
	require.Less(t, back, backWithin)
	return back
}

// logReadOnly is in the worker's log once for each dependency that it found
// read-only.
const logReadOnly = "it is read-only"

// output is what a producer has to publish: the events of a ledger, and one
// message for the keeper with every so many of them.
type output struct {
	l    *ledger
	keep int
}

func (o output) insist(ctx context.Context, client *app.Client, first, last int, sent func(n int)) {
	const part = 400
	for i := first; i < last; i += part {
		end := min(i+part, last)
		o.l.insist(ctx, client, i, end, func(n int) { sent(i - first + n) })
		msgs := counted(i/o.keep, end/o.keep-i/o.keep)
		insist(ctx, func() error { return client.Publisher().Publish(topicKept, msgs...) })
	}
}

// requireKept requires of each of n messages for the keeper that it took
// effect once.
func requireKept(t testing.TB, db *sql.DB, n int) {
	t.Helper()
	rows, err := db.QueryContext(t.Context(), `SELECT id FROM kept ORDER BY id`)
	require.NoError(t, err)
	defer rows.Close()
	var ids []string
	for rows.Next() {
		var id string
		require.NoError(t, rows.Scan(&id))
		ids = append(ids, id)
	}
	require.NoError(t, rows.Err())
	require.Equal(t, n, len(slices.Compact(slices.Clone(ids))), "messages that took effect") //nolint:testifylint // Len would print them all
	require.Equal(t, n, len(ids), "effects")                                                 //nolint:testifylint // likewise
}
