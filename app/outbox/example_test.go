package outbox_test

import (
	"context"
	"database/sql"
	"fmt"
	"log"
	"os"
	"path/filepath"
	"time"

	"github.com/answerfeed/answerfeed/app/database"
	"github.com/answerfeed/answerfeed/app/event"
	"github.com/answerfeed/answerfeed/app/outbox"
)

// siteDatabase is a new SQLite file with the outbox's table.
func siteDatabase(ctx context.Context) (db *database.DB, remove func()) {
	dir, err := os.MkdirTemp("", "example")
	if err != nil {
		log.Fatal(err)
	}
	db, err = database.Open(ctx, database.Config{Driver: database.SQLite, DSN: filepath.Join(dir, "site.db")})
	if err != nil {
		log.Fatal(err)
	}
	if err := db.Migrate(ctx); err != nil {
		log.Fatal(err)
	}
	return db, func() {
		_ = db.Close()
		_ = os.RemoveAll(dir)
	}
}

// The site stores an answer and its event in one transaction: both are there, or neither is.
func ExamplePublish() {
	ctx := context.Background()
	db, remove := siteDatabase(ctx)
	defer remove()
	err := db.Update(ctx, database.Durable, func(ctx context.Context, tx *sql.Tx) error {
		// The site's own statement stands here: INSERT INTO answers …
		return outbox.Publish(ctx, tx, event.TopicAnswerAdded, event.AnswerAdded{
			AnswerID: "sky-1", QuestionID: "sky", AuthorID: "bob", OccurredAt: time.Now(),
		})
	})
	if err != nil {
		fmt.Println(err)
	}
	waiting, err := outbox.Count(ctx, db)
	fmt.Println(waiting.Waiting, err) // until a relay moves it to the queues
	// Output: 1 <nil>
}
