package outbox_test

import (
	"context"
	"database/sql"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/answerfeed/answerfeed/app/database"
	"github.com/answerfeed/answerfeed/app/event"
	"github.com/answerfeed/answerfeed/app/outbox"
)

// A site stores an answer and its event in one transaction.
func ExamplePublish() {
	err := func() error {
		ctx := context.Background()
		dir, err := os.MkdirTemp("", "site")
		if err != nil {
			return err
		}
		defer os.RemoveAll(dir) //nolint:errcheck // it is in a folder for temporary files
		db, err := database.Open(ctx, database.Config{Driver: database.SQLite, DSN: filepath.Join(dir, "site.db")})
		if err != nil {
			return err
		}
		defer db.Close()
		if err := db.Migrate(ctx); err != nil {
			return err
		}
		err = db.Update(ctx, database.Durable, func(ctx context.Context, tx *sql.Tx) error {
			if _, err := tx.ExecContext(ctx, `CREATE TABLE site_answers AS SELECT 'a1' AS id`); err != nil {
				return err
			}
			return outbox.Publish(ctx, tx, event.TopicAnswerAdded, event.AnswerAdded{
				AnswerID: "a1", QuestionID: "q1", OccurredAt: time.Now(),
			})
		})
		if err != nil {
			return err
		}
		b, err := outbox.Count(ctx, db)
		fmt.Println(b.Waiting, "event waits for a relay")
		return err
	}()
	if err != nil {
		fmt.Println(err)
	}
	// Output: 1 event waits for a relay
}
