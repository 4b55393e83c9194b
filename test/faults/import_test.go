package faults

import (
	"bytes"
	"context"
	"database/sql"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/answerfeed/answerfeed/app/event"
	"github.com/answerfeed/answerfeed/internal/importer"
)

// What is imported from a Stack Exchange file is what the feed shows, whatever
// carries the events and whatever holds the feed; and importing it again
// changes nothing.
func TestFeedMatches_Import(t *testing.T) {
	onEachPair(t, func(t *testing.T, p place) {
		posts := invented(300)
		file := filepath.Join(p.dir, "Posts.xml")
		require.NoError(t, os.WriteFile(file, posts.encode(t), 0o600))
		w := p.start(t)
		for range 2 {
			out, err := p.command("import", "stackexchange", file).CombinedOutput()
			require.NoError(t, err, string(out))
			w.drained(t)
			posts.matches(t, w)
		}
	})
}

// The same, of a site that stores its posts and their events in the worker's
// database, in one transaction: by way of the outbox, of relays, and of any
// transport.
func TestFeedMatches_Outbox(t *testing.T) {
	onEachPair(t, func(t *testing.T, p place) {
		posts := invented(300)
		w := p.start(t)
		launch(t, p.command("relay")) // one more than the worker's own
		site := p.site(t)
		site.store(t, posts)
		require.Eventually(t, site.relayed, within, 5*time.Millisecond)
		w.drained(t)
		posts.matches(t, w)
	})
}

// onEachPair runs a test on every transport with every database.
func onEachPair(t *testing.T, test func(t *testing.T, p place)) {
	nothing := func(testing.TB) settings { return nil }
	transports := map[string]func(testing.TB) settings{
		"SQLite":     nothing,
		"PostgreSQL": func(t testing.TB) settings { return queuesIn(sharedDatabase(t)) },
		"AMQP":       func(t testing.TB) settings { return queuesAt(sharedBroker(t)) },
	}
	databases := map[string]func(testing.TB) settings{
		"SQLite":     nothing,
		"PostgreSQL": func(t testing.TB) settings { return tablesIn(sharedDatabase(t)) },
	}
	for by, transport := range transports {
		for to, database := range databases {
			t.Run("by "+by+" to "+to, func(t *testing.T) {
				t.Parallel()
				test(t, onSQLite(t).with(transport(t)).with(database(t)))
			})
		}
	}
}

// site is a producer that shares the worker's database.
type site struct {
	db      *sql.DB
	publish string // one SQL statement of topic and payload
}

// site makes the site's own table.
func (p place) site(t testing.TB) site {
	t.Helper()
	s := site{p.writer(t), `INSERT INTO answerfeed_publish (topic, data) VALUES ($1, $2)`}
	if p.onPostgres() {
		s.publish = `SELECT answerfeed_publish($1, $2::jsonb)`
	}
	_, err := s.db.ExecContext(t.Context(), `CREATE TABLE site_posts (id TEXT NOT NULL)`)
	require.NoError(t, err)
	return s
}

// store stores each post together with its event, some to a transaction; and,
// each time, an answer in a transaction that is rolled back.
func (s site) store(t testing.TB, posts stackExchangeFile) {
	t.Helper()
	var events []importer.Event
	_, err := importer.StackExchange(bytes.NewReader(posts.encode(t)), importer.Options{}, func(e importer.Event) error {
		events = append(events, e)
		return nil
	})
	require.NoError(t, err)
	for part := range slices.Chunk(events, 7) {
		s.end(t, (*sql.Tx).Commit, part...)
		payload, err := event.AnswerAdded{AnswerID: "never-" + part[0].ID, QuestionID: "q1", OccurredAt: epoch}.Encode()
		require.NoError(t, err)
		s.end(t, (*sql.Tx).Rollback, importer.Event{Topic: event.TopicAnswerAdded, Payload: payload})
	}
}

func (s site) end(t testing.TB, how func(*sql.Tx) error, events ...importer.Event) {
	t.Helper()
	tx, err := s.begin(t.Context(), events...)
	require.NoError(t, err)
	require.NoError(t, how(tx))
}

// begin stores some, and leaves the end of the transaction to the caller.
func (s site) begin(ctx context.Context, events ...importer.Event) (*sql.Tx, error) {
	tx, err := s.db.BeginTx(ctx, nil)
	if err != nil {
		return nil, err
	}
	for _, e := range events {
		_, first := tx.ExecContext(ctx, `INSERT INTO site_posts (id) VALUES ($1)`, e.ID)
		_, second := tx.ExecContext(ctx, s.publish, e.Topic, string(e.Payload))
		if err := errors.Join(first, second); err != nil {
			return nil, errors.Join(err, tx.Rollback())
		}
	}
	return tx, nil
}

// relayed reports that the outbox is empty.
func (s site) relayed() bool {
	var n int
	return s.db.QueryRow(`SELECT count(*) FROM outbox`).Scan(&n) == nil && n == 0
}
