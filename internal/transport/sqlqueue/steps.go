package sqlqueue

import (
	"context"
	stdsql "database/sql"
	"fmt"

	"github.com/jackc/pgx/v5"

	"github.com/answerfeed/answerfeed/app/database"
)

// step is one statement of a round. None needs what another returns: so on
// PostgreSQL all of them are sent at once, and make one round trip.
type step struct {
	what  string // for an error: "claiming messages"
	query query
	args  []any
	// row reads one of the rows, if it returns any; affected hears how many
	// were changed, if somebody wants to know.
	row      func(scan func(...any) error) error
	affected func(n int64)
}

// query is a statement, which on SQLite is prepared once a consumer: SQLite
// parses at each use else. pgx does so by itself.
type query struct {
	text     string
	prepared *stdsql.Stmt
}

// statements are those of a consumer.
type statements struct {
	claim, take, ack, back, extendAll, redeliver, dead query

	all *database.Statements
}

func prepare(db *database.DB, q queries) (statements, error) {
	all := db.ToWrite()
	one := func(text string) query {
		if db.Driver() == database.Postgres {
			return query{text: text}
		}
		return query{text, all.One(text)}
	}
	s := statements{
		claim: one(q.claim), take: one(q.take), ack: one(q.ack), back: one(q.back),
		extendAll: one(q.extend), redeliver: one(q.redeliver), dead: one(q.dead), all: all,
	}
	if err := all.Err(); err != nil {
		all.Close()
		return statements{}, err
	}
	return s, nil
}

// execute runs steps as one transaction. begun is called once the database is
// at it.
func (c *consumer) execute(ctx context.Context, d database.Durability, begun func(), steps []step) error {
	if c.postgres() {
		return c.executePostgres(ctx, d, begun, steps)
	}
	return c.t.db.Update(ctx, d, func(ctx context.Context, tx *stdsql.Tx) error {
		begun()
		for _, s := range steps {
			if err := s.run(ctx, tx); err != nil {
				return fmt.Errorf("%s: %w", s.what, err)
			}
		}
		return nil
	})
}

func (s step) run(ctx context.Context, tx *stdsql.Tx) error {
	stmt := tx.StmtContext(ctx, s.query.prepared)
	if s.row == nil {
		result, err := stmt.ExecContext(ctx, s.args...)
		if err != nil || s.affected == nil {
			return err
		}
		n, err := result.RowsAffected()
		s.affected(n)
		return err
	}
	rows, err := stmt.QueryContext(ctx, s.args...)
	if err != nil {
		return err
	}
	defer rows.Close()
	for rows.Next() {
		if err := s.row(rows.Scan); err != nil {
			return err
		}
	}
	return rows.Err()
}

func (c *consumer) executePostgres(ctx context.Context, d database.Durability, begun func(), steps []step) error {
	batch := &pgx.Batch{}
	batch.Queue(c.t.queries.settings)
	var failed error // of the first step that did
	for _, s := range steps {
		batch.Queue(s.query.text, s.args...).Fn = func(results pgx.BatchResults) error {
			err := s.read(results)
			if err != nil && failed == nil {
				failed = fmt.Errorf("%s: %w", s.what, err)
			}
			return err
		}
	}
	err := c.t.db.Together(ctx, d, begun, batch)
	if err != nil && failed != nil {
		return failed
	}
	return err
}

// read takes the answer to a step.
func (s step) read(results pgx.BatchResults) error {
	if s.row == nil {
		tag, err := results.Exec()
		if err == nil && s.affected != nil {
			s.affected(tag.RowsAffected())
		}
		return err
	}
	rows, err := results.Query()
	if err != nil {
		return err
	}
	defer rows.Close()
	for rows.Next() {
		if err := s.row(rows.Scan); err != nil {
			return err
		}
	}
	return rows.Err()
}
