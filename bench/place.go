package main

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"path/filepath"
	"strings"
	"syscall"

	"github.com/jackc/pgx/v5"

	"github.com/answerfeed/answerfeed/app/database"
)

// place is a database for the effect.
type place struct{ driver, dsn string }

// file names a SQLite file of a measurement.
func (b *bench) file(name string) string {
	return filepath.Join(b.dir, fmt.Sprintf("%s-%d.db", name, b.round))
}

// place makes an empty database for a measurement. remove gives its room back.
func (b *bench) place(ctx context.Context, name string) (p place, remove func() error, err error) {
	if b.Database == database.SQLite {
		return place{database.SQLite, b.file(name)}, func() error { return nil }, nil
	}
	dsn, err := b.postgres.Database(ctx)
	if err != nil {
		return place{}, nil, err
	}
	u, err := url.Parse(dsn)
	if err != nil {
		return place{}, nil, err
	}
	return place{database.Postgres, dsn}, func() error {
		// No dirty page of it is left to be written in somebody else's time.
		return execute(context.WithoutCancel(ctx), b.postgres.DSN, "DROP DATABASE "+strings.TrimPrefix(u.Path, "/")+" WITH (FORCE)", "CHECKPOINT")
	}, nil
}

// byKey names the database for a reader that finds rows by their key alone: a
// plan that PostgreSQL makes while a table is empty goes through all of it,
// and would take the processors from what is measured.
func (p place) byKey() string {
	if p.driver != database.Postgres {
		return p.dsn
	}
	return p.dsn + "&enable_seqscan=off&enable_bitmapscan=off"
}

// execute runs statements, one after the other, each by itself.
func execute(ctx context.Context, dsn string, statements ...string) error {
	conn, err := pgx.Connect(ctx, dsn)
	if err != nil {
		return err
	}
	for _, s := range statements {
		if _, err := conn.Exec(ctx, s); err != nil {
			return errors.Join(fmt.Errorf("%s: %w", s, err), conn.Close(ctx))
		}
	}
	return conn.Close(ctx)
}

// settle is what is done between filling a PostgreSQL table and reading it:
// otherwise autovacuum and the next checkpoint would do it meanwhile.
func (p place) settle(ctx context.Context) error {
	err := execute(ctx, p.dsn, "VACUUM ANALYZE", "CHECKPOINT")
	syscall.Sync()
	return err
}

// number asks for one.
func (p place) number(ctx context.Context, query string, into any) error {
	conn, err := pgx.Connect(ctx, p.dsn)
	if err != nil {
		return err
	}
	if err := conn.QueryRow(ctx, query).Scan(into); err != nil {
		return errors.Join(fmt.Errorf("%s: %w", query, err), conn.Close(ctx))
	}
	return conn.Close(ctx)
}
