package database_test

import (
	"context"
	"database/sql"
	"fmt"
	"log"
	"os"
	"path/filepath"

	"github.com/answerfeed/answerfeed/app/database"
)

// exampleDatabase is a new SQLite file with the table "mails".
func exampleDatabase(ctx context.Context) (db *database.DB, remove func()) {
	dir, err := os.MkdirTemp("", "example")
	if err != nil {
		log.Fatal(err)
	}
	db, err = database.Open(ctx, database.Config{Driver: database.SQLite, DSN: filepath.Join(dir, "example.db")})
	if err != nil {
		log.Fatal(err)
	}
	if err := db.Migrate(ctx); err != nil {
		log.Fatal(err)
	}
	err = db.Update(ctx, database.Durable, func(ctx context.Context, tx *sql.Tx) error {
		_, err := tx.ExecContext(ctx, `CREATE TABLE mails (author TEXT)`)
		return err
	})
	if err != nil {
		log.Fatal(err)
	}
	return db, func() {
		_ = db.Close()
		_ = os.RemoveAll(dir)
	}
}

// A message that is delivered twice has its effect once.
func ExampleDB_Once() {
	ctx := context.Background()
	db, remove := exampleDatabase(ctx)
	defer remove()
	for range 2 {
		err := db.Once(ctx, "mailer", "answer-added", "event-17", func(ctx context.Context, tx *sql.Tx) error {
			_, err := tx.ExecContext(ctx, db.SQL(`INSERT INTO mails (author) VALUES ($1)`), "ann")
			return err
		})
		if err != nil {
			fmt.Println(err)
		}
	}
	var mails int
	err := db.Read().QueryRowContext(ctx, `SELECT count(*) FROM mails`).Scan(&mails)
	fmt.Println(mails, err)
	// Output: 1 <nil>
}

// Effects of many goroutines share a commit. A bad one fails alone.
func ExampleNewBatcher() {
	ctx := context.Background()
	db, remove := exampleDatabase(ctx)
	defer remove()
	mails := database.NewBatcher(db, database.Durable, 100, func(ctx context.Context, tx *sql.Tx, authors []string) error {
		for _, author := range authors {
			if _, err := tx.ExecContext(ctx, db.SQL(`INSERT INTO mails (author) VALUES ($1)`), author); err != nil {
				return err
			}
		}
		return nil
	})
	defer mails.Close()
	fmt.Println(mails.Do(ctx, "ann")) // returns after the commit
	// Output: <nil>
}
