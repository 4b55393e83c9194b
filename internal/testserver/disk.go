package testserver

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"syscall"
)

// ErrNoDisk: mounting a disk takes root.
var ErrNoDisk = errors.New("a small disk can be mounted by root alone")

// unmounter unmounts its argument when standard input ends, and removes it.
const unmounter = `read _; umount -l "$1"; rmdir "$1"`

// Disk is a small file system in memory that can be filled.
type Disk struct {
	// Dir is where it is mounted. Every user may write there.
	Dir string

	keeper *process // unmounts it
}

// MountDisk mounts a disk of so many bytes. It is unmounted with the process,
// if not before.
func MountDisk(ctx context.Context, size int64) (d *Disk, err error) {
	if os.Geteuid() != 0 {
		return nil, ErrNoDisk
	}
	d = &Disk{}
	if d.Dir, err = os.MkdirTemp("", "answerfeed-disk"); err != nil {
		return nil, err
	}
	out, err := exec.CommandContext(ctx, "mount", "-t", "tmpfs", "-o", "mode=1777,size="+strconv.FormatInt(size, 10), "answerfeed", d.Dir).CombinedOutput()
	if err != nil {
		return nil, errors.Join(fmt.Errorf("%w: %w: %s", ErrNoDisk, err, out), os.Remove(d.Dir))
	}
	if d.keeper, err = launch(ctx, os.DevNull, nil, "/bin/sh", "-c", unmounter, "unmounter", d.Dir); err != nil {
		return nil, errors.Join(err, d.Unmount())
	}
	return d, nil
}

func (d *Disk) ballast() string { return filepath.Join(d.Dir, "ballast") }

// Fill takes all the room that is left.
func (d *Disk) Fill() error {
	file, err := os.OpenFile(d.ballast(), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return fmt.Errorf("filling the disk: %w", err)
	}
	defer file.Close()
	for piece := make([]byte, 64<<10); len(piece) > 0; {
		_, err := file.Write(piece)
		switch {
		case err == nil:
		case errors.Is(err, syscall.ENOSPC), errors.Is(err, io.ErrShortWrite):
			piece = piece[:len(piece)/2] // what is left may be less
		default:
			return fmt.Errorf("filling the disk: %w", err)
		}
	}
	return nil
}

// Free gives the room back.
func (d *Disk) Free(context.Context) error { return os.Remove(d.ballast()) }

// Unmount removes the disk with all that is on it.
func (d *Disk) Unmount() error {
	if d.keeper != nil {
		d.keeper.kill()
	}
	if err := syscall.Unmount(d.Dir, syscall.MNT_DETACH); err != nil {
		return fmt.Errorf("unmounting the disk: %w", err)
	}
	return os.Remove(d.Dir)
}

// OnDisk lets the server keep tables and indexes that are made from now on on
// the disk; its log stays where the server is.
func (p *Postgres) OnDisk(ctx context.Context, d *Disk) error {
	dir := tablesOn(d)
	if err := os.Mkdir(dir, 0o700); err != nil {
		return err
	}
	uid, gid, err := p.owner()
	if err == nil {
		err = os.Chown(dir, uid, gid)
	}
	if err != nil {
		return err
	}
	for _, query := range []string{
		"CREATE TABLESPACE small LOCATION '" + dir + "'", "ALTER SYSTEM SET default_tablespace = 'small'", "SELECT pg_reload_conf()",
	} {
		if err := p.exec(ctx, query); err != nil {
			return fmt.Errorf("keeping tables on a small disk: %w", err)
		}
	}
	p.tables = dir
	return nil
}
