package database

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"sync/atomic"
	"syscall"
	"time"
)

// fileEvery is how often a SQLite file is looked at where nothing is
// committed.
const fileEvery = 250 * time.Millisecond

// ErrFileGone is returned when the SQLite file that was opened is no longer
// the one at its path, or has lost its log. What is written to the open file
// from then on, nobody would ever read: the process must end, and a new one
// open what is there now.
var ErrFileGone = errors.New("the database file is no longer the one that was opened")

// fileGone is an [ErrFileGone] that tells which file. It counts as a
// connection that has ended, so that no message is blamed for it.
type fileGone struct{ path, how string }

func (e *fileGone) Error() string {
	return fmt.Sprintf("%s was %s while the worker ran; what it writes would be lost: start it again once the right file is there", e.path, e.how)
}

func (e *fileGone) Is(target error) bool { return target == ErrFileGone || target == sql.ErrConnDone }

// openedFile is a SQLite file with its log and the log's index, as they were
// opened. All three are compared with what their paths lead to: a process that
// opens the same file without the log that another writes to sees none of it.
type openedFile struct {
	anchor *sql.Conn // while it is open, SQLite removes no log
	parts  []filePart
	err    atomic.Pointer[fileGone]
	gone   chan struct{} // closed when err is set
}

type filePart struct {
	path string
	info fs.FileInfo
}

// openFile remembers the files behind a database that was just opened.
func openFile(ctx context.Context, read *sql.DB, path string) (*openedFile, error) {
	f := &openedFile{gone: make(chan struct{})}
	var err error
	if f.anchor, err = read.Conn(ctx); err != nil {
		return nil, err
	}
	// The first read opens the log.
	if _, err := f.anchor.ExecContext(ctx, "SELECT count(*) FROM sqlite_schema"); err != nil {
		return nil, errors.Join(err, f.anchor.Close())
	}
	beside, err := filepath.EvalSymlinks(path) // SQLite puts the log beside the file itself
	if err != nil {
		return nil, errors.Join(err, f.anchor.Close())
	}
	for _, p := range []string{path, beside + "-wal", beside + "-shm"} {
		info, err := os.Stat(p)
		if errors.Is(err, fs.ErrNotExist) && p != path {
			continue // a file system on which SQLite keeps no such log
		}
		if err != nil {
			return nil, errors.Join(err, f.anchor.Close())
		}
		f.parts = append(f.parts, filePart{p, info})
	}
	return f, nil
}

// check compares, in some microseconds. A path that cannot be looked at for
// another reason, such as a permission, says nothing of the file.
func (f *openedFile) check() error {
	if f == nil { // PostgreSQL, or not opened to its end
		return nil
	}
	if err := f.err.Load(); err != nil {
		return err
	}
	for _, p := range f.parts {
		info, err := os.Stat(p.path)
		switch {
		case errors.Is(err, fs.ErrNotExist) || errors.Is(err, syscall.ENOTDIR):
			return f.lose(&fileGone{p.path, "removed"})
		case err == nil && !os.SameFile(info, p.info):
			return f.lose(&fileGone{p.path, "replaced"})
		}
	}
	return nil
}

func (f *openedFile) lose(err *fileGone) error {
	if f.err.CompareAndSwap(nil, err) {
		close(f.gone)
	}
	return f.err.Load()
}

func (f *openedFile) close() error {
	if f == nil {
		return nil
	}
	return f.anchor.Close()
}

// WaitFileGone returns when the SQLite file was replaced or removed, with an
// error that is [ErrFileGone], or nil when ctx ends.
func (db *DB) WaitFileGone(ctx context.Context) error {
	if db.file == nil {
		<-ctx.Done()
		return nil
	}
	select {
	case <-ctx.Done():
		return nil
	case <-db.file.gone:
		return db.file.err.Load()
	}
}
