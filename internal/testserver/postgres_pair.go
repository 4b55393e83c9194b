package testserver

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"syscall"
	"time"

	"github.com/jackc/pgx/v5"
)

// standbyLags is how long a standby gets nothing before its primary is killed:
// what is confirmed in that time without the standby is lost.
const standbyLags = 300 * time.Millisecond

// PostgresPair is a primary with a hot standby, by streaming replication. A
// commit waits for the standby's disk.
type PostgresPair struct {
	// DSN names both, and means the one that can be written.
	DSN string

	opts    PairOptions
	nodes   [2]*Postgres
	primary int // of nodes
}

// PairOptions say which pair to start.
type PairOptions struct {
	Suite Suite
	// Disks, when they are there, have the tables of the two.
	Disks [2]*Disk
	// Asynchronous lets no commit wait for the standby, to see what that loses.
	Asynchronous bool
}

// StartPostgresPair starts both, and waits until the standby follows: about
// 5 s.
func StartPostgresPair(ctx context.Context, opts PairOptions) (p *PostgresPair, err error) {
	p = &PostgresPair{opts: opts}
	defer func() {
		if err != nil {
			err = errors.Join(err, p.Stop())
		}
	}()
	// A standby tries again at once when its primary comes back, and finds there
	// what it has missed.
	if p.nodes[0], err = StartPostgresOf(ctx, opts.Suite, "wal_retrieve_retry_interval = '100ms'", "wal_keep_size = '256MB'"); err != nil {
		return p, err
	}
	if opts.Disks[0] != nil {
		if err := p.nodes[0].OnDisk(ctx, opts.Disks[0]); err != nil {
			return p, err
		}
	}
	if p.nodes[1], err = p.nodes[0].startStandby(ctx, opts.Disks[1]); err != nil {
		return p, err
	}
	p.DSN = fmt.Sprintf("postgres://postgres:test@127.0.0.1:%d,127.0.0.1:%d/postgres?sslmode=disable&target_session_attrs=read-write",
		p.nodes[0].Port, p.nodes[1].Port)
	err = p.follow(ctx)
	return p, err
}

// Primary is the one of the two that can be written: 0 or 1.
func (p *PostgresPair) Primary() int { return p.primary }

// Kill is kill -9 of the primary.
func (p *PostgresPair) Kill() { p.nodes[p.primary].Kill() }

// Start starts the primary that was killed.
func (p *PostgresPair) Start(ctx context.Context) error { return p.nodes[p.primary].Start(ctx) }

// FailOver kills the primary, whose standby lags, and makes a primary of the
// standby. It returns when that can be written. Until Renew there is no other.
func (p *PostgresPair) FailOver(ctx context.Context) error {
	if err := p.holdSenders(ctx); err != nil {
		return err
	}
	select {
	case <-time.After(standbyLags):
	case <-ctx.Done():
		return ctx.Err()
	}
	p.Kill()
	p.primary = 1 - p.primary
	return p.nodes[p.primary].Promote(ctx)
}

// holdSenders stops the primary's processes that send to the standby.
func (p *PostgresPair) holdSenders(ctx context.Context) error {
	conn, err := pgx.Connect(ctx, p.nodes[p.primary].DSN)
	if err != nil {
		return fmt.Errorf("holding up a standby: %w", err)
	}
	defer conn.Close(context.WithoutCancel(ctx)) //nolint:errcheck // it is over
	rows, err := conn.Query(ctx, "SELECT pid FROM pg_stat_replication")
	if err != nil {
		return fmt.Errorf("holding up a standby: %w", err)
	}
	pids, err := pgx.CollectRows(rows, pgx.RowTo[int])
	if err != nil {
		return fmt.Errorf("holding up a standby: %w", err)
	}
	for _, pid := range pids {
		if err := syscall.Kill(pid, syscall.SIGSTOP); err != nil {
			return fmt.Errorf("holding up a standby: %w", err)
		}
	}
	return nil
}

// Renew makes a standby of the server that FailOver killed, and returns when it
// follows.
func (p *PostgresPair) Renew(ctx context.Context) error {
	primary, old := p.nodes[p.primary], p.nodes[1-p.primary]
	old.Kill()
	if err := errors.Join(os.RemoveAll(old.data()), old.clearTables()); err != nil {
		return err
	}
	if err := errors.Join(old.copyOf(ctx, primary), old.Start(ctx)); err != nil {
		return fmt.Errorf("making a standby of the former primary: %w", err)
	}
	return p.follow(ctx)
}

// follow lets commits wait for the standby, and returns when it follows. The
// setting is made anew each time: a standby is a copy from before it.
func (p *PostgresPair) follow(ctx context.Context) error {
	primary, state := p.nodes[p.primary], "async"
	if !p.opts.Asynchronous {
		state = "sync"
		for _, query := range []string{"ALTER SYSTEM SET synchronous_standby_names = '*'", "SELECT pg_reload_conf()"} {
			if err := primary.exec(ctx, query); err != nil {
				return fmt.Errorf("letting commits wait for the standby: %w", err)
			}
		}
	}
	ctx, cancel := context.WithTimeout(ctx, startWithin)
	defer cancel()
	conn, err := pgx.Connect(ctx, primary.DSN)
	if err != nil {
		return fmt.Errorf("waiting for the standby: %w", err)
	}
	defer conn.Close(context.WithoutCancel(ctx)) //nolint:errcheck // it is over
	for {
		var follows bool
		err := conn.QueryRow(ctx, "SELECT count(*) > 0 FROM pg_stat_replication WHERE state = 'streaming' AND sync_state = $1", state).Scan(&follows)
		if err != nil {
			return fmt.Errorf("waiting for the standby: %w", err)
		}
		if follows {
			return nil
		}
		select {
		case <-time.After(20 * time.Millisecond):
		case <-ctx.Done():
			return fmt.Errorf("the standby does not follow: %w", ctx.Err())
		}
	}
}

// Stop ends both and removes their folders.
func (p *PostgresPair) Stop() error {
	var errs []error
	for _, node := range p.nodes {
		if node != nil {
			errs = append(errs, node.Stop())
		}
	}
	return errors.Join(errs...)
}

// clearTables removes the tables that are on a disk.
func (p *Postgres) clearTables() error {
	if p.tables == "" {
		return nil
	}
	return os.RemoveAll(p.tables)
}

// tablesOn is the folder of a disk with a server's tables.
func tablesOn(d *Disk) string { return filepath.Join(d.Dir, "tables") }
