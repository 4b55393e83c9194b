package database

import (
	"context"
	"database/sql"
	"embed"
	"errors"
	"fmt"
	"io/fs"
	"path"
	"strconv"
	"strings"
	"time"

	"github.com/pressly/goose/v3"
)

//go:embed migrations/*/*.sql
var migrations embed.FS

// ErrSchema is returned when a schema and this worker do not fit.
var ErrSchema = errors.New("schema does not fit this worker")

// Schema is a set of migrations that only add, and the table that remembers
// which of them were applied. A second table of that name with "_needs"
// behind it, made by the first migration, holds in min_worker the least
// schema level that a worker must know to run on it.
type Schema struct {
	Files fs.FS  // *.sql, NNNNN_name.sql
	Dir   string // in Files
	Table string // also tells the schema in errors
	// Replace is put into each file, for names with a prefix. May be nil.
	Replace *strings.Replacer
}

func (db *DB) readModels() Schema {
	return Schema{Files: migrations, Dir: "migrations/" + db.driver, Table: "answerfeed_schema"}
}

// Migrate brings the tables of read models, dead letters and inbox up to date.
func (db *DB) Migrate(ctx context.Context) error { return db.MigrateSchema(ctx, db.readModels()) }

// Check reports, as [ErrSchema], that the tables are not those Migrate makes.
func (db *DB) Check(ctx context.Context) error { return db.CheckSchema(ctx, db.readModels()) }

// MigrateSchema applies what is missing of s. Several processes may do it at
// once. It returns [ErrSchema] when a newer worker's schema forbids this one.
func (db *DB) MigrateSchema(ctx context.Context, s Schema) error {
	provider, level, err := s.provider(db)
	if err != nil {
		return err
	}
	// Each migration and its entry in the table are one transaction, so of
	// two that start together one fails whole, and finds the work done when
	// it looks again. On PostgreSQL they wait for each other, and look again
	// only for a table that others held.
	for try := 1; ; try++ {
		_, err = provider.Up(ctx)
		if err == nil {
			break
		}
		if try == 20 || ctx.Err() != nil || db.driver == Postgres && !Retryable(err) {
			return fmt.Errorf("migrating %s: %w", s.Table, explainMigration(explain(err)))
		}
		if err := pause(ctx, time.Duration(try)*10*time.Millisecond); err != nil {
			return err
		}
	}
	return db.checkNeeds(ctx, s, level)
}

// CheckSchema reports, as [ErrSchema], a schema that is older than s, or one
// that is newer and forbids this worker.
func (db *DB) CheckSchema(ctx context.Context, s Schema) error {
	_, level, err := s.provider(db)
	if err != nil {
		return err
	}
	var have sql.NullInt64
	err = db.read.QueryRowContext(ctx, `SELECT max(version_id) FROM "`+s.Table+`"`).Scan(&have)
	if Unavailable(err) {
		return fmt.Errorf("reading the level of %s: %w", s.Table, err)
	}
	if err != nil || have.Int64 < level { // there may be no such table
		return fmt.Errorf("%w: %s is at level %d, this worker needs %d; run `worker migrate`", ErrSchema, s.Table, have.Int64, level)
	}
	return db.checkNeeds(ctx, s, level)
}

func (db *DB) checkNeeds(ctx context.Context, s Schema, level int64) error {
	var needs int64
	if err := db.read.QueryRowContext(ctx, `SELECT min_worker FROM "`+s.Table+`_needs"`).Scan(&needs); err != nil {
		return fmt.Errorf("reading what %s needs: %w", s.Table, err)
	}
	if needs > level {
		return fmt.Errorf("%w: %s was upgraded and needs a worker of level %d or later, this one has %d; run a newer worker", ErrSchema, s.Table, needs, level)
	}
	return nil
}

// provider also returns the newest level among the files.
func (s Schema) provider(db *DB) (*goose.Provider, int64, error) {
	names, err := fs.Glob(s.Files, path.Join(s.Dir, "*.sql"))
	if err != nil {
		return nil, 0, fmt.Errorf("listing migrations of %s: %w", s.Table, err)
	}
	var level int64
	var steps []*goose.Migration
	for _, name := range names {
		number, _, _ := strings.Cut(path.Base(name), "_")
		version, err := strconv.ParseInt(number, 10, 64)
		if err != nil {
			return nil, 0, fmt.Errorf("migration %s: its name must start with a number", name)
		}
		text, err := fs.ReadFile(s.Files, name)
		if err != nil {
			return nil, 0, fmt.Errorf("reading migration %s: %w", name, err)
		}
		query := string(text)
		if s.Replace != nil {
			query = s.Replace.Replace(query)
		}
		level = max(level, version)
		steps = append(steps, goose.NewGoMigration(version, &goose.GoFunc{
			RunTx: func(ctx context.Context, tx *sql.Tx) error {
				_, err := tx.ExecContext(ctx, query)
				return err
			},
		}, nil))
	}
	options := []goose.ProviderOption{goose.WithGoMigrations(steps...), goose.WithDisableGlobalRegistry(true)}
	dialect := goose.DialectSQLite3
	if db.driver == Postgres {
		own, err := s.postgresOptions()
		if err != nil {
			return nil, 0, err
		}
		options, dialect = append(options, own...), goose.DialectCustom
	} else {
		options = append(options, goose.WithTableName(`"`+s.Table+`"`))
	}
	provider, err := goose.NewProvider(dialect, db.write, nil, options...)
	if err != nil {
		return nil, 0, fmt.Errorf("reading migrations of %s: %w", s.Table, err)
	}
	return provider, level, nil
}
