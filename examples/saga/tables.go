package main

import (
	"context"
	"database/sql"
	"fmt"

	"github.com/answerfeed/answerfeed/app/database"
)

// How a saga stands.
const (
	statePending  = "pending"  // moderation has not decided
	stateAccepted = "accepted" // complete
	stateUndone   = "undone"   // for ever
)

// pointsEach is what an accepted answer earns.
const pointsEach = 10

const (
	// An answer of the site, which is a saga.
	sagasTable = `CREATE TABLE IF NOT EXISTS saga_answers (
		answer_id TEXT NOT NULL PRIMARY KEY, question_id TEXT NOT NULL, author_id TEXT NOT NULL, body TEXT NOT NULL,
		state TEXT NOT NULL, decide_by BIGINT NOT NULL, correlation_id TEXT NOT NULL)`
	sagasIndex = `CREATE INDEX IF NOT EXISTS saga_answers_pending ON saga_answers (decide_by) WHERE state = 'pending'`
	// An answer that earned points, or never will: the event that takes them
	// back may come first.
	grantsTable = `CREATE TABLE IF NOT EXISTS saga_grants (
		answer_id TEXT NOT NULL PRIMARY KEY, author_id TEXT NOT NULL, live BOOLEAN NOT NULL)`
	pointsTable = `CREATE TABLE IF NOT EXISTS saga_points (author_id TEXT NOT NULL PRIMARY KEY, points BIGINT NOT NULL)`

	insertSaga = `INSERT INTO saga_answers (answer_id, question_id, author_id, body, state, decide_by, correlation_id)
		VALUES ($1, $2, $3, $4, 'pending', $5, $6)`
	// Each of these changes a saga once, whoever comes first: moderation, the
	// deadline or the author.
	acceptSaga   = `UPDATE saga_answers SET state = 'accepted' WHERE answer_id = $1 AND question_id = $2 AND state = 'pending' RETURNING author_id`
	refuseSaga   = `UPDATE saga_answers SET state = 'undone' WHERE answer_id = $1 AND question_id = $2 AND state = 'pending' RETURNING author_id`
	takeSagaBack = `UPDATE saga_answers SET state = 'undone' WHERE answer_id = $1 AND question_id = $2 AND state <> 'undone' RETURNING author_id`
	readSaga     = `SELECT state FROM saga_answers WHERE answer_id = $1`
	readOverdue  = `SELECT answer_id, question_id, correlation_id FROM saga_answers
		WHERE state = 'pending' AND decide_by <= $1 ORDER BY decide_by LIMIT 100`

	insertGrant = `INSERT INTO saga_grants (answer_id, author_id, live) VALUES ($1, $2, TRUE)
		ON CONFLICT (answer_id) DO NOTHING RETURNING author_id`
	endGrant = `INSERT INTO saga_grants (answer_id, author_id, live) VALUES ($1, '', FALSE)
		ON CONFLICT (answer_id) DO UPDATE SET live = FALSE WHERE saga_grants.live RETURNING author_id`
	addPoints = `INSERT INTO saga_points (author_id, points) VALUES ($1, $2)
		ON CONFLICT (author_id) DO UPDATE SET points = saga_points.points + $2`
	readPoints = `SELECT author_id, points FROM saga_points WHERE points <> 0 ORDER BY points DESC, author_id LIMIT 100`
)

// createTables makes the tables of all steps. They are in the worker's
// database, so that effect, inbox and outbox share a transaction; were they
// services of their own, each would have its database and its worker.
func createTables(ctx context.Context, db *database.DB) error {
	return db.Update(ctx, database.Durable, func(ctx context.Context, tx *sql.Tx) error {
		for _, statement := range []string{sagasTable, sagasIndex, grantsTable, pointsTable} {
			if _, err := tx.ExecContext(ctx, statement); err != nil {
				return fmt.Errorf("creating the saga's tables: %w", err)
			}
		}
		return nil
	})
}
