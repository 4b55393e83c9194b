package deadletter_test

import (
	"bytes"
	"context"
	"log/slog"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/ThreeDotsLabs/watermill/message"
	"github.com/stretchr/testify/require"

	"github.com/answerfeed/answerfeed/app/database"
	"github.com/answerfeed/answerfeed/internal/deadletter"
	"github.com/answerfeed/answerfeed/internal/transport"
	"github.com/answerfeed/answerfeed/internal/transport/sqlqueue"
)

const patience = time.Minute

// subscriptions are the queues that letters can be sent back to.
var subscriptions = []transport.Subscription{
	{Topic: "answer-added", Handler: "feed"},
	{Topic: "answer-added", Handler: "leaderboard"},
	{Topic: "question-viewed", Handler: "feed"},
}

// rig is a desk with its letters on either database, and a broker.
type rig struct {
	db    *database.DB
	store *deadletter.Store
	queue transport.Transport
	desk  *deadletter.Desk
	log   bytes.Buffer
	clock clock
}

// clock is the desk's; letters have their own times.
type clock struct{ at time.Time }

func (c clock) now() time.Time { return c.at }

func newRig(t testing.TB, driver string) *rig {
	t.Helper()
	r := &rig{db: openAt(t, place(t, driver)), queue: queueAt(t, filepath.Join(t.TempDir(), "queue.db")), clock: clock{at: someTime.Add(time.Hour)}}
	r.store = storeOn(t, r.db)
	r.desk = r.newDesk("ann@desk")
	return r
}

func (r *rig) newDesk(who string) *deadletter.Desk {
	return deadletter.NewDesk(deadletter.DeskOptions{
		DB: r.db, Publisher: r.queue.Publisher(), Who: who, Now: r.clock.now,
		Logger: slog.New(slog.NewTextHandler(&lockedWriter{w: &r.log}, nil)),
	})
}

type lockedWriter struct {
	mu sync.Mutex
	w  *bytes.Buffer
}

func (w *lockedWriter) Write(b []byte) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.w.Write(b)
}

func queueAt(t testing.TB, path string) transport.Transport {
	t.Helper()
	db, err := database.Open(t.Context(), database.Config{Driver: database.SQLite, DSN: path})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, db.Close()) })
	q, err := sqlqueue.New(db, sqlqueue.Config{Logger: slog.New(slog.DiscardHandler)})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, q.Close()) })
	require.NoError(t, q.Migrate(t.Context(), subscriptions))
	return q
}

func (r *rig) save(t testing.TB, letters ...*deadletter.Letter) {
	t.Helper()
	for _, l := range letters {
		require.NoError(t, r.store.Save(t.Context(), l))
	}
}

// taken consumes what is in a queue, until it is empty.
func taken(t testing.TB, q transport.Transport, sub transport.Subscription) []*message.Message {
	t.Helper()
	var mu sync.Mutex
	var all []*message.Message
	consume(t, q, sub, func(m *message.Message) {
		mu.Lock()
		defer mu.Unlock()
		all = append(all, m)
	})
	return all
}

// consume hands messages on, many at once, until the queue is empty.
func consume(t testing.TB, q transport.Transport, sub transport.Subscription, handle func(*message.Message)) {
	t.Helper()
	s, err := q.Subscriber(transport.Consumer{Subscription: sub, Window: 500, Grace: patience})
	require.NoError(t, err)
	msgs, err := s.Subscribe(t.Context(), sub.Topic)
	require.NoError(t, err)
	done := make(chan struct{})
	go func() {
		defer close(done)
		var wg sync.WaitGroup
		for m := range msgs {
			wg.Go(func() {
				handle(m)
				m.Ack()
			})
		}
		wg.Wait()
	}()
	require.Eventually(t, func() bool { return waiting(t.Context(), q, sub) == 0 }, patience, 5*time.Millisecond)
	require.NoError(t, s.Close())
	<-done
}

func waiting(ctx context.Context, q transport.Transport, sub transport.Subscription) int64 {
	all, err := q.Backlog(ctx)
	if err != nil {
		return -1
	}
	for _, b := range all {
		if b.Handler == sub.Handler && b.Topic == sub.Topic {
			return b.Ready + b.InFlight + b.Delayed
		}
	}
	return 0
}

// requireExact compares the kept counts with what the letters say.
func requireExact(t require.TestingT, db *database.DB) {
	kept, err := groups(db, `SELECT fingerprint, topic, letters FROM dead_letter_groups WHERE letters <> 0`)
	require.NoError(t, err)
	counted, err := groups(db, `SELECT fingerprint, topic, count(*) FROM dead_letters WHERE state = 'dead' GROUP BY fingerprint, topic`)
	require.NoError(t, err)
	require.Equal(t, counted, kept)
}

func groups(db *database.DB, q string) (map[[2]string]int, error) {
	rows, err := db.Read().Query(q)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	all := map[[2]string]int{}
	for rows.Next() {
		var key [2]string
		var n int
		if err := rows.Scan(&key[0], &key[1], &n); err != nil {
			return nil, err
		}
		all[key] = n
	}
	return all, rows.Err()
}

// state is that of one letter.
func (r *rig) state(t testing.TB, id string) deadletter.State {
	t.Helper()
	l, err := r.store.Get(t.Context(), id)
	require.NoError(t, err)
	return l.State
}
