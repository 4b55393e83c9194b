package database

import (
	"errors"
	"fmt"
	"strings"
)

// The drivers that Open knows.
const (
	SQLite   = "sqlite"
	Postgres = "postgres"
)

// Config says which database to open.
type Config struct {
	// Driver is "sqlite". Defaults to "sqlite".
	Driver string
	// DSN is a file's path for SQLite. Defaults to "answerfeed.db".
	DSN string
}

// DefaultConfig is the embedded database in the working directory.
func DefaultConfig() Config { return Config{Driver: SQLite, DSN: "answerfeed.db"} }

// Validate reports what Open would refuse before it touches anything.
func (c Config) Validate() error {
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
		return errors.New("driver: this version has SQLite only; use driver sqlite")
	default:
		return fmt.Errorf("driver: %q is not known; use sqlite", c.Driver)
	}
}
