package database

import (
	"errors"
	"fmt"
	"strings"
	"time"
)

// The drivers that Open knows.
const (
	SQLite   = "sqlite"
	Postgres = "postgres"
)

// Defaults of Config.
const (
	defaultWriters          = 8
	defaultReaders          = 8
	defaultStatementTimeout = 30 * time.Second
)

// Config says which database to open.
type Config struct {
	// Driver is "sqlite" or "postgres". Defaults to "sqlite".
	Driver string
	// DSN is a file's path for SQLite; for PostgreSQL
	// postgres://user:password@host:port/database?sslmode=… or host=… user=…
	// pairs. Defaults to "answerfeed.db".
	DSN string
	// Writers is how many transactions write at once on PostgreSQL; a SQLite
	// file has one writer. 0 is 8.
	Writers int
	// Readers is how many queries read at once. 0 is 8.
	Readers int
	// StatementTimeout is after how long PostgreSQL gives a statement up; it
	// holds for no migration. SQLite has none. 0 is 30 s.
	StatementTimeout time.Duration
}

// DefaultConfig is the embedded database in the working directory.
func DefaultConfig() Config { return Config{Driver: SQLite, DSN: "answerfeed.db"} }

// Validate reports what Open would refuse before it touches anything. What it
// says quotes nothing of the DSN.
func (c Config) Validate() error {
	switch {
	case c.Writers < 0:
		return errors.New("writers: must be 0 or more")
	case c.Readers < 0:
		return errors.New("readers: must be 0 or more")
	case c.StatementTimeout < 0 || c.StatementTimeout > 0 && c.StatementTimeout < time.Millisecond:
		return errors.New("statement_timeout: must be 0 or at least 1ms")
	}
	switch c.Driver {
	case SQLite:
		if c.DSN == "" {
			return errors.New("dsn: empty; it must name a file")
		}
		if strings.Contains(c.DSN, ":memory:") || strings.Contains(c.DSN, "mode=memory") {
			return errors.New("dsn: an in-memory database would lose messages at every stop; name a file")
		}
		return nil
	case Postgres:
		_, err := parsePostgres(c.DSN)
		return err
	default:
		return fmt.Errorf("driver: %q is not known; use sqlite or postgres", c.Driver)
	}
}

func (c Config) writers() int {
	if c.Writers == 0 {
		return defaultWriters
	}
	return c.Writers
}

func (c Config) readers() int {
	if c.Readers == 0 {
		return defaultReaders
	}
	return c.Readers
}

func (c Config) statementTimeout() time.Duration {
	if c.StatementTimeout == 0 {
		return defaultStatementTimeout
	}
	return c.StatementTimeout
}
