package main

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io"

	"github.com/answerfeed/answerfeed/app/database"
	"github.com/answerfeed/answerfeed/config"
)

const (
	viewsTable = `CREATE TABLE IF NOT EXISTS question_views (question_id TEXT NOT NULL PRIMARY KEY, views BIGINT NOT NULL)`
	tableLock  = `SELECT pg_advisory_xact_lock(hashtext('question_views'))`
	countView  = `INSERT INTO question_views (question_id, views) VALUES ($1, 1)
		ON CONFLICT (question_id) DO UPDATE SET views = question_views.views + 1`
	mostViewed = `SELECT question_id, views FROM question_views ORDER BY views DESC, question_id LIMIT $1`
)

// createTable is the handler's Migrate: its table is in the worker's database,
// so that effect and inbox share a transaction. The statements are those of
// SQLite and PostgreSQL alike. PostgreSQL refuses two that create one table at
// the same time, so they take turns.
func createTable(ctx context.Context, db *database.DB) error {
	return db.Update(ctx, database.Durable, func(ctx context.Context, tx *sql.Tx) error {
		if db.Driver() == database.Postgres {
			if _, err := tx.ExecContext(ctx, tableLock); err != nil {
				return fmt.Errorf("waiting to create question_views: %w", err)
			}
		}
		if _, err := tx.ExecContext(ctx, viewsTable); err != nil {
			return fmt.Errorf("creating question_views: %w", err)
		}
		return nil
	})
}

// printTop writes the n most viewed questions, one a line, most first.
func printTop(ctx context.Context, cfg config.Database, n int, out io.Writer) (err error) {
	db, err := database.Open(ctx, database.Config(cfg))
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, db.Close()) }()
	rows, err := db.Read().QueryContext(ctx, db.SQL(mostViewed), n)
	if err != nil {
		return fmt.Errorf("reading the views: %w", err)
	}
	defer rows.Close()
	for rows.Next() {
		var question string
		var views int
		if err := rows.Scan(&question, &views); err != nil {
			return fmt.Errorf("reading the views: %w", err)
		}
		if _, err := fmt.Fprintf(out, "%6d  %s\n", views, question); err != nil {
			return err
		}
	}
	return rows.Err()
}
