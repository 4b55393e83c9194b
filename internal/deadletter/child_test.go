package deadletter_test

import (
	"bufio"
	"context"
	"database/sql"
	"encoding/json"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"sync/atomic"
	"testing"
	"time"

	"github.com/ThreeDotsLabs/watermill/message"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/answerfeed/answerfeed/app/database"
	"github.com/answerfeed/answerfeed/app/event"
	"github.com/answerfeed/answerfeed/internal/deadletter"
	"github.com/answerfeed/answerfeed/internal/testkit"
	"github.com/answerfeed/answerfeed/internal/transport/sqlqueue"
)

// childVariable makes of the test's binary a desk that requeues all letters.
// It holds a job.
const childVariable = "ANSWERFEED_DESK_CHILD"

type job struct {
	Letters database.Config
	Queue   string
}

// child requeues, and writes a line to standard output after each batch.
func child() int {
	var j job
	if err := json.Unmarshal([]byte(os.Getenv(childVariable)), &j); err != nil {
		return complain(err)
	}
	ctx := context.Background()
	db, err := database.Open(ctx, j.Letters)
	if err != nil {
		return complain(err)
	}
	queueDB, err := database.Open(ctx, database.Config{Driver: database.SQLite, DSN: j.Queue})
	if err != nil {
		return complain(err)
	}
	queue, err := sqlqueue.New(queueDB, sqlqueue.Config{Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		return complain(err)
	}
	desk := deadletter.NewDesk(deadletter.DeskOptions{DB: db, Publisher: queue.Publisher(), Who: fmt.Sprint("desk ", os.Getpid()), Logger: slog.New(slog.DiscardHandler)})
	_, err = desk.Requeue(ctx, deadletter.Selection{}, deadletter.Options{Progress: func(r deadletter.Result) { fmt.Println(r.Done) }})
	if err != nil {
		return complain(err)
	}
	return 0
}

func complain(err error) int {
	fmt.Fprintln(os.Stderr, err)
	return 1
}

// Desks that requeue 10,000 letters are killed 20 times, at any moment. None
// is lost, and none takes effect twice.
func TestRequeue_Killed(t *testing.T) {
	onEach(t, func(t *testing.T, driver string) {
		const letters, kills = 10_000 / testkit.Share, 20 / testkit.Share
		cfg := place(t, driver)
		db := openAt(t, cfg)
		queuePath := filepath.Join(t.TempDir(), "queue.db")
		queue := queueAt(t, queuePath)
		store := storeOn(t, db)
		saveMany(t, store, letters)
		text, err := json.Marshal(job{cfg, queuePath})
		require.NoError(t, err)

		var ended bool
		for range kills {
			require.False(t, ended, "it was done before it was killed")
			ended = requeueUntilKilled(t, string(text), 1+rand.IntN(4))
		}
		for !requeueUntilKilled(t, string(text), -1) {
		}

		counts, err := store.Counts(t.Context())
		require.NoError(t, err)
		require.Empty(t, counts)
		requireExact(t, db)

		// The handler's effect is not idempotent by itself: it uses the inbox.
		require.NoError(t, db.Update(t.Context(), database.Durable, func(ctx context.Context, tx *sql.Tx) error {
			_, err := tx.ExecContext(ctx, `CREATE TABLE effects (identity TEXT NOT NULL)`)
			return err
		}))
		var delivered atomic.Int64
		consume(t, queue, subscriptions[0], func(m *message.Message) {
			delivered.Add(1)
			identity := event.Identity(m.Payload, m.UUID)
			assert.NoError(t, db.Once(context.Background(), "feed", "answer-added", identity, func(ctx context.Context, tx *sql.Tx) error {
				_, err := tx.ExecContext(ctx, db.SQL(`INSERT INTO effects VALUES ($1)`), identity)
				return err
			}))
		})
		var effects, of int
		require.NoError(t, db.Read().QueryRow(`SELECT count(*), count(DISTINCT identity) FROM effects`).Scan(&effects, &of))
		require.Equal(t, letters, effects, "none handled twice with effect")
		require.Equal(t, letters, of, "none lost")
		require.LessOrEqual(t, int(delivered.Load()), letters+100*(kills+1), "a batch at most is sent again")
		t.Logf("%d letters, %d kills: %d delivered", letters, kills, delivered.Load())

		acts, err := deadletter.NewDesk(deadletter.DeskOptions{DB: db}).Audit(t.Context(), 100)
		require.NoError(t, err)
		total := 0
		for _, a := range acts {
			total += a.Letters
		}
		require.Equal(t, letters, total, "the audit has each once")
	})
}

func saveMany(t *testing.T, store *deadletter.Store, n int) {
	t.Helper()
	errs := make(chan error, n)
	slots := make(chan struct{}, 256)
	for i := range n {
		slots <- struct{}{}
		go func() {
			errs <- store.Save(context.Background(), letter(func(l *deadletter.Letter) {
				l.Payload = fmt.Appendf(nil, `{"event_id":"e%d"}`, i)
				l.Identity, l.UUID, l.Metadata = fmt.Sprint("e", i), "", nil
				l.LastFailedAt = someTime.Add(time.Duration(i%100) * time.Second)
			}))
			<-slots
		}()
	}
	for range n {
		require.NoError(t, <-errs)
	}
}

// requeueUntilKilled runs a desk, and kills it a moment after so many batches;
// -1 = not at all. It returns whether the desk came to its end.
func requeueUntilKilled(t *testing.T, job string, batches int) bool {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), os.Args[0])
	cmd.Env = append(os.Environ(), childVariable+"="+job)
	cmd.Stderr = os.Stderr
	out, err := cmd.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, cmd.Start())
	lines := bufio.NewScanner(out)
	for lines.Scan() {
		if batches--; batches == 0 {
			<-time.After(time.Duration(rand.IntN(8000)) * time.Microsecond) // anywhere within a batch
			require.NoError(t, cmd.Process.Kill())
		}
	}
	return cmd.Wait() == nil
}
