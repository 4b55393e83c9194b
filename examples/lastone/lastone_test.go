package main

import (
	"context"
	"database/sql"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/ThreeDotsLabs/watermill/message"
	_ "github.com/jackc/pgx/v5/stdlib"
	"github.com/stretchr/testify/require"
	_ "modernc.org/sqlite"

	"github.com/answerfeed/answerfeed/app"
	"github.com/answerfeed/answerfeed/app/failure"
	"github.com/answerfeed/answerfeed/config"
	"github.com/answerfeed/answerfeed/handlers"
	"github.com/answerfeed/answerfeed/internal/testserver"
)

// postgres is the server of all tests.
var postgres = sync.OnceValues(func() (*testserver.Postgres, error) { return testserver.SharedPostgres(context.Background()) })

func TestMain(m *testing.M) {
	code := m.Run()
	if server, err := postgres(); err == nil && server.Stop() != nil {
		code = 1
	}
	os.Exit(code)
}

// onBoth runs a test on a worker with queues and tables in one database.
func onBoth(t *testing.T, test func(t *testing.T, opts app.Options, db *sql.DB)) {
	at := func(t *testing.T, driver, name, dsn string) {
		all := []handlers.Handler{shop(), notices(slog.New(slog.DiscardHandler))}
		loaded, err := config.Load(config.Options{Environ: []string{}, Handlers: app.Declare(all), Overrides: map[string]any{
			"transport.sql.driver": driver, "transport.sql.dsn": dsn, "database.driver": driver, "database.dsn": dsn, "web.listen": "127.0.0.1:0",
		}})
		require.NoError(t, err)
		db, err := sql.Open(name, dsn)
		require.NoError(t, err)
		t.Cleanup(func() { require.NoError(t, db.Close()) })
		test(t, app.Options{Config: loaded.Config, Handlers: all, Logger: slog.New(slog.DiscardHandler)}, db)
	}
	t.Run("SQLite", func(t *testing.T) { at(t, "sqlite", "sqlite", filepath.Join(t.TempDir(), "lastone.db")) })
	t.Run("PostgreSQL", func(t *testing.T) {
		server, err := postgres()
		require.NoError(t, err)
		dsn, err := server.Database(t.Context())
		require.NoError(t, err)
		at(t, "postgres", "pgx", dsn)
	})
}

// 100 orders for each item come in any order, some of them again and again: the
// earliest has bought it, every other that was told so has it revoked, and
// nobody is told anything twice.
func TestLastOne_AlwaysTheEarliest(t *testing.T) {
	const items, orders = 8, 100
	onBoth(t, func(t *testing.T, opts app.Options, db *sql.DB) {
		seed := uint64(time.Now().UnixNano())
		t.Logf("seed %d", seed)
		r := rand.New(rand.NewPCG(seed, 0))
		first := map[string]order{}
		var msgs []*message.Message
		for item := range items {
			for n := range orders {
				o := order{
					OrderID: fmt.Sprintf("o%d-%d", item, n), ItemID: fmt.Sprintf("i%d", item), Buyer: fmt.Sprintf("b%d", n),
					PlacedAt: time.Date(2026, 1, 1, 0, 0, r.IntN(orders), 0, time.UTC), // with ties
				}
				if had, ok := first[o.ItemID]; !ok || o.before(had) {
					first[o.ItemID] = o
				}
				payload, err := o.Encode()
				require.NoError(t, err)
				for range 1 + r.IntN(3) {
					msgs = append(msgs, message.NewMessage("", payload))
				}
			}
		}
		r.Shuffle(len(msgs), func(i, j int) { msgs[i], msgs[j] = msgs[j], msgs[i] })
		handle(t, opts, msgs)

		won, revoked := told(t, db, topicWon), told(t, db, topicRevoked)
		require.Greater(t, len(won), items, "no order came late: that proves nothing")
		for _, o := range first {
			var id string
			require.NoError(t, db.QueryRowContext(t.Context(), `SELECT order_id FROM lastone_sales WHERE item_id = $1`, o.ItemID).Scan(&id))
			require.Equal(t, o.OrderID, id, "the winner of %s", o.ItemID)
			require.Equal(t, 1, won[id])
			require.Zero(t, revoked[id])
			delete(won, id)
		}
		require.Equal(t, won, revoked, "whoever was told that he won, and did not, is told so")
		for id, times := range revoked {
			require.Equal(t, 1, times, "%s is told once", id)
		}
	})
}

// told counts, by order, what buyers were told.
func told(t *testing.T, db *sql.DB, topic string) map[string]int {
	t.Helper()
	rows, err := db.QueryContext(t.Context(), `SELECT order_id FROM lastone_notices WHERE topic = $1`, topic)
	require.NoError(t, err)
	defer rows.Close()
	times := map[string]int{}
	for rows.Next() {
		var id string
		require.NoError(t, rows.Scan(&id))
		times[id]++
	}
	require.NoError(t, rows.Err())
	return times
}

// handle publishes the messages to a running worker, in slices that come while
// it is at work, and returns when it is done and has stopped.
func handle(t *testing.T, opts app.Options, msgs []*message.Message) {
	t.Helper()
	a, err := app.New(t.Context(), opts)
	require.NoError(t, err)
	defer func() { require.NoError(t, a.Stop(context.WithoutCancel(t.Context()))) }()
	require.NoError(t, a.Start(t.Context()))
	client, err := app.Open(t.Context(), opts)
	require.NoError(t, err)
	defer func() { require.NoError(t, client.Close()) }()
	for len(msgs) > 0 {
		n := min(len(msgs), 500)
		require.NoError(t, client.Publisher().Publish(topicPlaced, msgs[:n]...))
		msgs = msgs[n:]
	}
	// Twice in a row: an event between outbox and queue is counted by the one or
	// the other, but they are not asked at the same moment.
	quiet := 0
	require.Eventually(t, func() bool {
		left, err := client.Outbox(t.Context())
		waits := err != nil || left.Waiting > 0
		all, err := client.Backlog(t.Context())
		waits = waits || err != nil
		for _, b := range all {
			waits = waits || b.Ready+b.InFlight+b.Delayed > 0
			require.Zero(t, b.Dead, b.Handler)
		}
		if quiet++; waits {
			quiet = 0
		}
		return quiet >= 3
	}, 2*time.Minute, 20*time.Millisecond)
}

func TestDecode_RefusesWhatIsNoOrder(t *testing.T) {
	for name, payload := range map[string]string{
		"no JSON":      `{"order_id":`,
		"a wrong type": `{"order_id":7,"item_id":"i","buyer":"b","placed_at":"2026-01-02T03:04:05Z"}`,
		"no item":      `{"order_id":"o","buyer":"b","placed_at":"2026-01-02T03:04:05Z"}`,
		"no time":      `{"order_id":"o","item_id":"i","buyer":"b"}`,
		"not UTF-8":    "{\"order_id\":\"\xff\"}",
	} {
		t.Run(name, func(t *testing.T) {
			_, err := decode([]byte(payload))
			var verdict *failure.Verdict
			require.ErrorAs(t, err, &verdict)
			require.Equal(t, failure.KindPermanent, verdict.Kind)
		})
	}
}
