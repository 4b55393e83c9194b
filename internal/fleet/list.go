package fleet

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"github.com/answerfeed/answerfeed/app/database"
)

// Worker is a process in the list.
type Worker struct {
	ID, Host string
	PID      int
	Version  string
	// StartedAt is by the clock of its machine, SeenAt, of its newest beat, by
	// that of the database. Both are UTC.
	StartedAt, SeenAt time.Time
	// Runs are the queues that it reads, InFlight how many messages of each it
	// handles.
	Runs     []string
	InFlight map[string]int

	machine, birth string
	beats          int64
}

const columns = `SELECT id, host, machine, pid, birth, version, started_at, seen_at, beats, runs, in_flight FROM workers`

// List returns the workers that run, and those of which nobody has noticed yet
// that they do not, the oldest first.
func List(ctx context.Context, db *database.DB) ([]Worker, error) {
	found, err := list(ctx, db)
	if err != nil {
		return nil, err
	}
	workers := make([]Worker, 0, len(found))
	for _, w := range found {
		workers = append(workers, *w)
	}
	return workers, nil
}

func list(ctx context.Context, db *database.DB) ([]*Worker, error) {
	return query(ctx, db, columns+` ORDER BY started_at, id`)
}

// one is nil when there is no such row.
func one(ctx context.Context, db *database.DB, id string) (*Worker, error) {
	found, err := query(ctx, db, columns+` WHERE id = $1`, id)
	if err != nil || len(found) == 0 {
		return nil, err
	}
	return found[0], nil
}

func query(ctx context.Context, db *database.DB, text string, args ...any) (workers []*Worker, err error) {
	rows, err := db.Read().QueryContext(ctx, db.SQL(text), args...)
	if err != nil {
		return nil, fmt.Errorf("reading the list of workers: %w", err)
	}
	defer rows.Close()
	for rows.Next() {
		w := &Worker{}
		var started, seen int64
		var runs, inFlight string
		if err := rows.Scan(&w.ID, &w.Host, &w.machine, &w.PID, &w.birth, &w.Version, &started, &seen, &w.beats, &runs, &inFlight); err != nil {
			return nil, fmt.Errorf("reading the list of workers: %w", err)
		}
		w.StartedAt, w.SeenAt = time.UnixMicro(started).UTC(), time.UnixMicro(seen).UTC()
		// A newer worker may write what is not understood here.
		_ = json.Unmarshal([]byte(runs), &w.Runs)
		_ = json.Unmarshal([]byte(inFlight), &w.InFlight)
		workers = append(workers, w)
	}
	if err := rows.Err(); err != nil {
		return nil, fmt.Errorf("reading the list of workers: %w", err)
	}
	return workers, nil
}

// Now is the clock of the database, in microseconds since 1970, as SQL.
func Now(db *database.DB) string {
	if db.Driver() == database.Postgres {
		return `(extract(epoch FROM clock_timestamp()) * 1000000)::bigint`
	}
	return `CAST(unixepoch('subsec') * 1000000 AS INTEGER)`
}
