package testserver

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/jackc/pgx/v5"
)

// DSNVariable names a PostgreSQL to be used in place of one's own, as a
// postgres:// URL with a user that may create databases. It cannot be killed.
const DSNVariable = "WORKER_TEST_POSTGRES_DSN"

// errGivenPostgres: the test would do something to the server that
// DSNVariable names.
var errGivenPostgres = errors.New("this needs a PostgreSQL of the test's own, which " + DSNVariable + " does not name")

// Postgres is a PostgreSQL server.
type Postgres struct {
	// DSN is postgres://postgres:test@127.0.0.1:PORT/postgres?sslmode=disable.
	// Tests make a database of their own with [Postgres.Database].
	DSN string
	// Port is where it listens, on 127.0.0.1.
	Port int

	suite  Suite
	dir    string // "" when it is not one's own
	bin    string
	tables string   // the folder on a disk that has them, "" = with the rest
	keeper *process // removes dir
	server *process

	mu   sync.Mutex
	made []string // databases of Database
}

// SharedPostgres is the server that [DSNVariable] names, if it is set, else
// one's own: for tests that do nothing to the server itself.
func SharedPostgres(ctx context.Context) (*Postgres, error) {
	if dsn := os.Getenv(DSNVariable); dsn != "" {
		return &Postgres{DSN: dsn}, nil
	}
	return StartPostgres(ctx)
}

// StartPostgres starts the machine's own server and waits until it answers: about
// 2 s. The lines are added to its postgresql.conf, where the last of a name
// holds. It flushes as a server does that is to keep its data; tests that have
// no use for it give the line "fsync = off".
func StartPostgres(ctx context.Context, lines ...string) (*Postgres, error) {
	return StartPostgresOf(ctx, Installed, lines...)
}

// StartPostgresOf is [StartPostgres] for the server of a suite.
func StartPostgresOf(ctx context.Context, suite Suite, lines ...string) (p *Postgres, err error) {
	bin, err := postgresBinaries(ctx, suite)
	if err != nil {
		if os.Getenv(DSNVariable) != "" {
			err = fmt.Errorf("%w: %w", errGivenPostgres, err)
		}
		return nil, err
	}
	port, err := FreePort()
	if err != nil {
		return nil, err
	}
	dir, err := os.MkdirTemp("", "answerfeed-postgres")
	if err != nil {
		return nil, err
	}
	p = &Postgres{
		DSN:  fmt.Sprintf("postgres://postgres:test@127.0.0.1:%d/postgres?sslmode=disable", port),
		Port: port, suite: suite, dir: dir, bin: bin,
	}
	if p.keeper, err = launch(ctx, os.DevNull, nil, "/bin/sh", "-c", keeper, "keeper", dir); err != nil {
		return nil, errors.Join(err, p.Stop())
	}
	if err := p.initialise(ctx, lines); err != nil {
		return nil, errors.Join(err, p.Stop())
	}
	if err := p.Start(ctx); err != nil {
		return nil, errors.Join(err, p.Stop())
	}
	return p, nil
}

// Start starts a server that was killed, on the same port with the same data,
// and waits until it answers.
func (p *Postgres) Start(ctx context.Context) error {
	if p.dir == "" {
		return errGivenPostgres
	}
	ctx, cancel := context.WithTimeout(ctx, startWithin)
	defer cancel()
	for {
		p.Kill() // a try before, or what the test forgot
		before := len(p.Log())
		var err error
		if p.server, err = launch(ctx, p.logFile(), nil, p.guarded()...); err != nil {
			return err
		}
		again, err := p.answers(ctx, before)
		if !again {
			return err
		}
	}
}

// answers waits until the server answers. again: it would not start since a
// killed one's memory was still in use, which ends in a moment.
func (p *Postgres) answers(ctx context.Context, before int) (again bool, err error) {
	for {
		conn, err := pgx.Connect(ctx, p.DSN)
		if err == nil {
			return false, conn.Close(ctx)
		}
		log := p.Log()
		if strings.Contains(log[before:], "is still in use") {
			return true, nil
		}
		select {
		case <-ctx.Done():
			return false, fmt.Errorf("PostgreSQL does not answer: %w\n%s", err, log[max(before, len(log)-2000):])
		case <-time.After(20 * time.Millisecond):
		}
	}
}

// Kill is kill -9 of the server and all its processes. A server that is not
// one's own is left alone, and Start says so.
func (p *Postgres) Kill() {
	if p.server != nil {
		_ = p.server.hold.Close() // see postgresGuard
		<-p.server.done
		p.server = nil
	}
}

// Stop ends the server and removes its folder. From a server that is not one's
// own it removes the databases that Database made.
func (p *Postgres) Stop() error {
	if p.dir == "" {
		return p.dropMade()
	}
	p.Kill()
	err := os.RemoveAll(p.dir)
	if p.keeper != nil {
		p.keeper.kill()
	}
	return err
}

// Log is what the server wrote, for a failed test.
func (p *Postgres) Log() string {
	text, _ := os.ReadFile(p.logFile())
	return string(text)
}

func (p *Postgres) logFile() string { return filepath.Join(p.dir, "server.log") }

// Database creates an empty database and returns its DSN.
func (p *Postgres) Database(ctx context.Context) (dsn string, err error) {
	u, err := url.Parse(p.DSN)
	if err != nil || !strings.HasPrefix(u.Scheme, "postgres") {
		return "", errors.New(DSNVariable + " is not a URL") // and what it is may hold a password
	}
	name := "test_" + strings.ToLower(rand.Text())
	if err := p.exec(ctx, "CREATE DATABASE "+name); err != nil {
		return "", fmt.Errorf("creating a database: %w", err)
	}
	p.mu.Lock()
	p.made = append(p.made, name)
	p.mu.Unlock()
	u.Path = "/" + name
	return u.String(), nil
}

func (p *Postgres) dropMade() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	var errs []error
	for _, name := range p.made {
		errs = append(errs, p.exec(context.Background(), "DROP DATABASE "+name+" WITH (FORCE)"))
	}
	p.made = nil
	return errors.Join(errs...)
}

func (p *Postgres) exec(ctx context.Context, query string) error {
	conn, err := pgx.Connect(ctx, p.DSN)
	if err != nil {
		return err
	}
	_, err = conn.Exec(ctx, query)
	return errors.Join(err, conn.Close(context.WithoutCancel(ctx)))
}

// settings of every server of ours. No socket: its folder's path may be too
// long for one.
func (p *Postgres) settings() []string {
	return []string{
		"listen_addresses = '127.0.0.1'",
		"port = " + strconv.Itoa(p.Port),
		"unix_socket_directories = ''",
		"max_connections = 400",
	}
}
