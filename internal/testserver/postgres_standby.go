package testserver

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
)

// StartStandby starts a standby of the server, which follows it by streaming
// replication until it is promoted.
func (p *Postgres) StartStandby(ctx context.Context) (*Postgres, error) {
	return p.startStandby(ctx, nil)
}

// startStandby is StartStandby with the tables on a disk, which takes a server
// that has them on one.
func (p *Postgres) startStandby(ctx context.Context, tables *Disk) (s *Postgres, err error) {
	port, err := FreePort()
	if err != nil {
		return nil, err
	}
	dir, err := os.MkdirTemp("", "answerfeed-postgres")
	if err != nil {
		return nil, err
	}
	dsn, err := url.Parse(p.DSN)
	if err != nil {
		return nil, err
	}
	dsn.Host = "127.0.0.1:" + strconv.Itoa(port)
	s = &Postgres{DSN: dsn.String(), Port: port, suite: p.suite, dir: dir, bin: p.bin}
	if tables != nil {
		s.tables = tablesOn(tables)
	}
	if s.keeper, err = launch(ctx, os.DevNull, nil, "/bin/sh", "-c", keeper, "keeper", dir); err != nil {
		return nil, errors.Join(err, s.Stop())
	}
	if err := errors.Join(s.copyOf(ctx, p), s.Start(ctx)); err != nil {
		return nil, errors.Join(err, s.Stop())
	}
	return s, nil
}

// copyOf makes the files of a standby of p.
func (p *Postgres) copyOf(ctx context.Context, primary *Postgres) error {
	uid, gid, err := p.owner()
	if err != nil {
		return err
	}
	if err := os.Chown(p.dir, uid, gid); err != nil {
		return err
	}
	command := p.unprivileged(filepath.Join(p.bin, "pg_basebackup"), "-D", p.data(), "--dbname="+primary.DSN,
		"--write-recovery-conf", "--wal-method=stream", "--checkpoint=fast", "--no-sync")
	if primary.tables != "" {
		command = append(command, "--tablespace-mapping="+primary.tables+"="+p.tables)
	}
	cmd := exec.CommandContext(ctx, command[0], command[1:]...)
	cmd.Dir = p.dir
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("pg_basebackup: %w: %s", err, out)
	}
	conf, err := os.OpenFile(filepath.Join(p.data(), "postgresql.conf"), os.O_APPEND|os.O_WRONLY, 0)
	if err != nil {
		return err
	}
	_, err = conf.WriteString("\nport = " + strconv.Itoa(p.Port) + "\n")
	return errors.Join(err, conf.Close())
}

// Promote makes a primary of a standby.
func (p *Postgres) Promote(ctx context.Context) error {
	if err := p.exec(ctx, "SELECT pg_promote()"); err != nil {
		return fmt.Errorf("promoting a standby: %w", err)
	}
	return nil
}
