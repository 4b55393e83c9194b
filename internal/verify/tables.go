package verify

import (
	"context"
	"database/sql"
	"fmt"

	"github.com/answerfeed/answerfeed/app/database"
	"github.com/answerfeed/answerfeed/internal/deadletter"
)

// tables are the run's own. Nothing keeps a second effect of an event out of
// the table of effects but the inbox; the trigger counts each.
func tables(driver string) []string {
	const count = `INSERT INTO verify_tally (id, effects) VALUES (NEW.id, 1)
		ON CONFLICT (id) DO UPDATE SET effects = verify_tally.effects + 1`
	statements := []string{
		`CREATE TABLE verify_effects (id TEXT NOT NULL)`,
		`CREATE TABLE verify_tally (id TEXT NOT NULL PRIMARY KEY, effects INTEGER NOT NULL)`,
		`CREATE TABLE verify_cured (at INTEGER NOT NULL)`,
		`CREATE TABLE verify_converged (id TEXT NOT NULL PRIMARY KEY, effects INTEGER NOT NULL)`,
	}
	if driver == database.Postgres {
		return append(statements,
			`CREATE FUNCTION verify_count() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN `+count+`; RETURN NULL; END'`,
			`CREATE TRIGGER verify_count AFTER INSERT ON verify_effects FOR EACH ROW EXECUTE FUNCTION verify_count()`)
	}
	return append(statements, `CREATE TRIGGER verify_count AFTER INSERT ON verify_effects BEGIN `+count+`; END`)
}

// insertEffect is the effect of an event.
const insertEffect = `INSERT INTO verify_effects (id) VALUES ($1)`

// converge is the effect of an event at the handler without an inbox.
const converge = `INSERT INTO verify_converged (id, effects) VALUES ($1, 1)
	ON CONFLICT (id) DO UPDATE SET effects = verify_converged.effects + 1`

func makeTables(ctx context.Context, db *database.DB) error {
	return db.Update(ctx, database.Durable, func(ctx context.Context, tx *sql.Tx) error {
		for _, statement := range tables(db.Driver()) {
			if _, err := tx.ExecContext(ctx, statement); err != nil {
				return fmt.Errorf("making the tables of the run: %w", err)
			}
		}
		return nil
	})
}

// cure lets curable events take effect from now on.
func cure(ctx context.Context, db *database.DB) error {
	return db.Update(ctx, database.Durable, func(ctx context.Context, tx *sql.Tx) error {
		_, err := tx.ExecContext(ctx, `INSERT INTO verify_cured (at) VALUES (1)`)
		return err
	})
}

func isCured(ctx context.Context, db *database.DB) (cured bool, err error) {
	err = db.Read().QueryRowContext(ctx, `SELECT count(*) > 0 FROM verify_cured`).Scan(&cured)
	return cured, err
}

// ends counts the events that took effect, the letters that are dead, and the
// events that took effect at the handler without an inbox.
func ends(ctx context.Context, db *database.DB) (effects, letters, converged int, err error) {
	err = db.Read().QueryRowContext(ctx, db.SQL(`SELECT (SELECT count(*) FROM verify_tally),
		(SELECT count(*) FROM dead_letters WHERE state = $1), (SELECT count(*) FROM verify_converged)`),
		string(deadletter.Dead)).Scan(&effects, &letters, &converged)
	return effects, letters, converged, err
}

// eachConverged yields every event that took effect without the inbox, and how
// often.
func eachConverged(ctx context.Context, db *database.DB, yield func(id string, effects int)) error {
	return each(ctx, db, `SELECT id, effects FROM verify_converged`, yield)
}

// eachEffect yields every event that took effect, and how often.
func eachEffect(ctx context.Context, db *database.DB, yield func(id string, effects int)) error {
	return each(ctx, db, `SELECT id, effects FROM verify_tally`, yield)
}

// eachLetter yields every event that is a dead letter.
func eachLetter(ctx context.Context, db *database.DB, yield func(id string, letters int)) error {
	return each(ctx, db, `SELECT identity, count(*) FROM dead_letters WHERE state = $1 GROUP BY identity`, yield, string(deadletter.Dead))
}

func each(ctx context.Context, db *database.DB, query string, yield func(string, int), args ...any) error {
	rows, err := db.Read().QueryContext(ctx, db.SQL(query), args...)
	if err != nil {
		return fmt.Errorf("reading what became of the events: %w", err)
	}
	defer rows.Close()
	for rows.Next() {
		var id string
		var n int
		if err := rows.Scan(&id, &n); err != nil {
			return fmt.Errorf("reading what became of the events: %w", err)
		}
		yield(id, n)
	}
	if err := rows.Err(); err != nil {
		return fmt.Errorf("reading what became of the events: %w", err)
	}
	return nil
}
