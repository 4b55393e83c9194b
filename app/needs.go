package app

import (
	"context"
	"time"

	"github.com/answerfeed/answerfeed/internal/dependency"
	"github.com/answerfeed/answerfeed/middleware"
)

// The names of what every worker depends on. Tables are of a handler, as
// HANDLER/tables, and those of the dead letters; a handler's name has no _.
const (
	needsDatabase  = "database"
	needsTransport = "transport"
	needsTables    = "tables"
	needsLetters   = "dead_letters"
)

// needs is a group of dependencies as the middleware asks for it.
type needs struct{ *dependency.Group }

var _ middleware.Dependencies = needs{}

// needs returns what works with the tables that are named, and with the
// database and others. What fails for the database's sake concerns all who use
// the database, or only those who write the same tables.
func (a *App) needs(tables string, others ...string) (needs, error) {
	group, err := a.health.dependencies.Group(append(others, tables)...)
	if err != nil {
		return needs{}, err
	}
	group.Blame(func(err error) string {
		switch trouble := a.client.db.TroubleOf(err); {
		case trouble == nil:
			return ""
		case trouble.Whole:
			return needsDatabase
		}
		return tables
	})
	return needs{group}, nil
}

// Begin implements middleware.Dependencies.
func (n needs) Begin(ctx context.Context, within time.Duration) (middleware.Attempt, error) {
	attempt, err := n.Group.Begin(ctx, within)
	if err != nil {
		return nil, err
	}
	return attempt, nil
}
