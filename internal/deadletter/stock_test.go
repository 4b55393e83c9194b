package deadletter_test

import (
	"context"
	"database/sql"
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/answerfeed/answerfeed/app/database"
)

// The letters of stock: five handlers, four topics, six reasons, and about a
// thousand problems, a letter a second; one letter in a hundred is discarded.
// handler-4 has no letter of reason-5, though each has a great many.
const stockLetters = `INSERT INTO dead_letters (id, handler, topic, identity, requeues, state, reason, fingerprint, correlation_id,
	attempts, redeliveries, first_failed_at, last_failed_at, error, uuid, metadata, payload, discarded_at)
	WITH RECURSIVE n (i) AS (SELECT CAST($1 AS BIGINT) UNION ALL SELECT i + 1 FROM n WHERE i + 1 < $2),
	p AS (SELECT i, i % 5 AS h, (i / 5) % 4 AS t, CASE WHEN i % 5 = 4 THEN (i / 20) % 5 ELSE (i / 20) % 6 END AS r, (i / 120) % 33 AS e, i % 100 = 99 AS gone FROM n)
	SELECT 'letter-' || CAST(1000000000 + (i * 7919) % 10000019 AS TEXT), 'handler-' || CAST(h AS TEXT), 'topic-' || CAST(t AS TEXT),
	'identity-' || CAST(i AS TEXT), 0, CASE WHEN gone THEN 'discarded' ELSE 'dead' END, 'reason-' || CAST(r AS TEXT),
	'fingerprint-' || CAST(1000 + h + 5 * r + 30 * e AS TEXT), 'correlation-' || CAST(i AS TEXT), 3, 0,
	1700000000000000 + i * 1000000, 1700000000000000 + i * 1000000, 'problem number ' || CAST(e AS TEXT) || ' of a common length, as errors are', '', '{}',
	CAST('{"answer_id":"a' || CAST(i AS TEXT) || '","excerpt":"about as long as answers are, but for those that are longer"}' AS BLOB),
	CASE WHEN gone THEN 1700000000000000 END FROM p`

const stockGroups = `INSERT INTO dead_letter_groups (fingerprint, handler, topic, reason, error, letters, first_failed_at, last_failed_at)
	SELECT fingerprint, handler, topic, reason, max(error), count(*), min(first_failed_at), max(last_failed_at)
	FROM dead_letters WHERE state = 'dead' GROUP BY fingerprint, handler, topic, reason`

// stock writes n letters by SQL. On PostgreSQL it also lets the planner know,
// as autovacuum does; nobody does on SQLite.
func stock(t testing.TB, db *database.DB, n int) {
	t.Helper()
	if db.Driver() == database.SQLite {
		stockSQLite(t, db, n)
		return
	}
	letters := strings.Replace(stockLetters, "AS BLOB)", "AS TEXT)::bytea", 1)
	const part = 20_000 // within a statement's timeout
	for i := 0; i < n; i += part {
		require.NoError(t, run(t, db, letters, i, min(i+part, n)))
	}
	require.NoError(t, run(t, db, stockGroups))
	require.NoError(t, run(t, db, "ANALYZE"))
}

// stockSQLite writes all in one transaction, whose cache holds every index: no
// page is written to the disk twice. A writer's own cache is too small for a
// million letters, each of which goes to a place of its own in every index.
func stockSQLite(t testing.TB, db *database.DB, n int) {
	t.Helper()
	require.NoError(t, db.Update(t.Context(), database.Relaxed, func(ctx context.Context, tx *sql.Tx) error {
		var usual int
		if err := tx.QueryRowContext(ctx, "PRAGMA cache_size").Scan(&usual); err != nil {
			return err
		}
		if _, err := tx.ExecContext(ctx, "PRAGMA cache_size = -2000000"); err != nil { // KiB
			return err
		}
		if _, err := tx.ExecContext(ctx, stockLetters, 0, n); err != nil {
			return err
		}
		if _, err := tx.ExecContext(ctx, stockGroups); err != nil {
			return err
		}
		_, err := tx.ExecContext(ctx, fmt.Sprint("PRAGMA cache_size = ", usual))
		return err
	}))
}

func run(t testing.TB, db *database.DB, q string, args ...any) error {
	t.Helper()
	return db.Update(t.Context(), database.Relaxed, func(ctx context.Context, tx *sql.Tx) error {
		_, err := tx.ExecContext(ctx, db.SQL(q), args...)
		return err
	})
}
