package outbox_test

import (
	"bufio"
	"context"
	"database/sql"
	"encoding/json"
	"fmt"
	"maps"
	"math/rand/v2"
	"os"
	"os/exec"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/answerfeed/answerfeed/app/database"
	"github.com/answerfeed/answerfeed/app/event"
	"github.com/answerfeed/answerfeed/app/outbox"
)

// childVariable makes this test binary a producer, to be killed.
const childVariable = "WORKER_TEST_CHILD"

// part is what a child is told.
type part struct {
	Config database.Config
	Name   string // of its answers
}

// answerWithoutEnd stores answers with their events, one transaction each, and
// prints each answer's id after the commit.
func answerWithoutEnd(text string) error {
	var p part
	if err := json.Unmarshal([]byte(text), &p); err != nil {
		return err
	}
	ctx := context.Background()
	db, err := database.Open(ctx, p.Config)
	if err != nil {
		return err
	}
	for n := 0; ; n++ {
		id := fmt.Sprintf("%s-%d", p.Name, n)
		err := db.Update(ctx, database.Durable, func(ctx context.Context, tx *sql.Tx) error {
			if _, err := tx.ExecContext(ctx, `INSERT INTO site_answers VALUES ($1)`, id); err != nil {
				return err
			}
			return outbox.Publish(ctx, tx, event.TopicAnswerAdded, answer(id))
		})
		if err != nil {
			return err
		}
		fmt.Println(id)
	}
}

// kills is how often a producer is killed, four at once.
const kills, atOnce = 100, 4

func TestPublish_ProducerKilled(t *testing.T) {
	onBoth(t, func(t *testing.T, db *database.DB, cfg database.Config) {
		self, err := os.Executable()
		require.NoError(t, err)
		told := map[string]bool{} // as stored
		var mu sync.Mutex
		var producers sync.WaitGroup
		for worker := range atOnce {
			producers.Go(func() {
				for n := range kills / atOnce {
					ids, err := killedProducer(t.Context(), self, part{cfg, fmt.Sprintf("a%d-%d", worker, n)})
					mu.Lock()
					for _, id := range ids {
						told[id] = true
					}
					mu.Unlock()
					if err != nil {
						t.Error(err)
					}
				}
			})
		}
		producers.Wait()

		answers := map[string]bool{}
		rows, err := db.Read().QueryContext(t.Context(), `SELECT answer_id FROM site_answers`)
		require.NoError(t, err)
		defer rows.Close()
		for rows.Next() {
			var id string
			require.NoError(t, rows.Scan(&id))
			answers[id] = true
		}
		require.NoError(t, rows.Err())
		events := map[string]bool{}
		for _, s := range outboxOf(t, db) {
			e, err := event.DecodeAnswerAdded([]byte(s.payload))
			require.NoError(t, err)
			require.False(t, events[e.AnswerID], "one event an answer")
			events[e.AnswerID] = true
		}
		require.Equal(t, answers, events, "an event exactly where there is an answer")
		require.GreaterOrEqual(t, len(told), kills)
		require.Subset(t, slices.Collect(maps.Keys(answers)), slices.Collect(maps.Keys(told)))
	})
}

// killedProducer starts a producer, kills it at a random moment of its work,
// and returns what it told to be stored.
func killedProducer(ctx context.Context, self string, p part) (ids []string, err error) {
	text, err := json.Marshal(p)
	if err != nil {
		return nil, err
	}
	cmd := exec.CommandContext(ctx, self)
	cmd.Env = append(os.Environ(), childVariable+"="+string(text))
	cmd.Stderr = os.Stderr
	out, err := cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	lines := bufio.NewScanner(out)
	for lines.Scan() {
		if ids = append(ids, lines.Text()); len(ids) == 1 {
			time.AfterFunc(rand.N(20*time.Millisecond), func() { _ = cmd.Process.Kill() })
		}
	}
	if err := cmd.Wait(); len(ids) == 0 {
		return nil, fmt.Errorf("a producer did not begin: %w", err)
	}
	return ids, nil
}
