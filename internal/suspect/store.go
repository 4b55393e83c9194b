package suspect

import (
	"context"
	"crypto/rand"
	"database/sql"
	"fmt"
	"sync"
	"time"

	"github.com/answerfeed/answerfeed/app/database"
	"github.com/answerfeed/answerfeed/internal/fleet"
)

const (
	// endWithin bounds the end of a group; what fails is ended later.
	endWithin = 5 * time.Second
	// rangeKept is how long a range waits for somebody to come back to it, while
	// workers run; accusedKept is the same for a message that was alone.
	// pruneEvery is how often that is looked at.
	rangeKept, accusedKept = 15 * time.Minute, 24 * time.Hour
	pruneEvery             = time.Minute
	// maxWaiting bounds the ranges of a queue that wait: of a worker that dies
	// of something else again and again.
	maxWaiting = 256
)

// Store keeps the groups in the database. It is safe for concurrent use.
type Store struct {
	db     *database.DB
	member *fleet.Member

	mu    sync.Mutex
	left  map[string]bool // groups that have ended and still have a row; true: unfinished
	prune time.Time       // when ranges are next forgotten
}

// NewStore returns the groups of a process that is not in the list of workers
// yet. Its Ended and Sweep are for the options of [fleet.Join].
func NewStore(db *database.DB) *Store {
	// What came back while no worker ran has as much time as any.
	return &Store{db: db, left: map[string]bool{}, prune: time.Now().Add(rangeKept)}
}

// Of names the process, before anything else is asked.
func (s *Store) Of(m *fleet.Member) { s.member = m }

// Look is the look at the list of workers that a message which comes back now
// is younger than.
func (s *Store) Look() int64 { return s.member.Look() }

// Standing returns a queue's groups, of any process that is not dead, and of
// nobody.
func (s *Store) Standing(ctx context.Context, queue string) (groups []Group, err error) {
	for range 2 {
		var workers []string
		if groups, workers, err = s.read(ctx, s.db.Read(), `queue = $1`, queue); err != nil {
			return nil, err
		}
		died := false
		proofs := map[string]int64{s.member.ID(): 0, "": 0}
		for i := range groups {
			worker := workers[i]
			if _, known := proofs[worker]; !known {
				proof, dead, err := s.member.Sight(ctx, worker)
				if err == nil && dead {
					died = true
					err = s.member.Bury(ctx, worker)
				}
				if err != nil {
					return nil, err
				}
				proofs[worker] = proof
			}
			groups[i].Owner, groups[i].Proof = s.owner(worker), proofs[worker]
		}
		if !died {
			return groups, nil
		}
	}
	return groups, nil
}

func (s *Store) owner(worker string) Owner {
	switch worker {
	case "":
		return Nobody
	case s.member.ID():
		return Mine
	default:
		return Other
	}
}

// Begin makes the group this process's. begun is false when another process
// has taken it meanwhile.
func (s *Store) Begin(ctx context.Context, g Group) (id string, begun bool, err error) {
	fresh := g.ID == ""
	if fresh {
		g.ID = rand.Text()
	}
	err = s.db.Update(ctx, database.Relaxed, func(ctx context.Context, tx *sql.Tx) error {
		// With a sign of life, so that nobody buries this process beside it.
		if err := s.member.Beat(ctx, tx); err != nil {
			return err
		}
		if fresh {
			begun = true
			return s.insert(ctx, tx, g, s.member.ID())
		}
		result, err := tx.ExecContext(ctx, s.db.SQL(`UPDATE suspect_groups SET lo = $1, mid = $2, hi = $3, worker = $4, identity = $5, requeues = $6, deaths = $7,
			changed_at = `+fleet.Now(s.db)+` WHERE id = $8 AND worker = ''`),
			int64(g.Lo), int64(g.Mid), int64(g.Hi), s.member.ID(), g.Identity, g.Requeues, g.Deaths, g.ID)
		if err != nil {
			return err
		}
		n, err := result.RowsAffected()
		begun = n == 1
		return err
	})
	if err != nil {
		s.leave(g.ID, !fresh) // it may have been committed
		return "", false, fmt.Errorf("beginning a group of messages that came back: %w", err)
	}
	return g.ID, begun, nil
}

// End removes the row of a group whose members have all ended. The range of an
// unfinished one waits again. What fails is tried again by Sweep.
func (s *Store) End(ctx context.Context, id string, unfinished bool) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), endWithin)
	defer cancel()
	if err := s.end(ctx, id, unfinished); err != nil {
		s.leave(id, unfinished)
	}
}

func (s *Store) end(ctx context.Context, id string, unfinished bool) error {
	query := `DELETE FROM suspect_groups WHERE id = $1 AND worker = $2`
	if unfinished {
		query = `UPDATE suspect_groups SET worker = '', changed_at = ` + fleet.Now(s.db) + ` WHERE id = $1 AND worker = $2`
	}
	return s.db.Update(ctx, database.Relaxed, func(ctx context.Context, tx *sql.Tx) error {
		_, err := tx.ExecContext(ctx, s.db.SQL(query), id, s.member.ID())
		return err
	})
}

func (s *Store) leave(id string, unfinished bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.left[id] = unfinished
}

// Sweep ends the groups whose end has failed: a row that is left would count
// as a death. Now and then it forgets ranges to which nobody came back.
func (s *Store) Sweep(ctx context.Context) {
	s.mu.Lock()
	left := s.left
	s.left = map[string]bool{}
	prune := !time.Now().Before(s.prune)
	if prune {
		s.prune = time.Now().Add(pruneEvery)
	}
	s.mu.Unlock()
	if prune {
		_ = s.Prune(ctx) // it is tried again in a minute, and nothing depends on it
	}
	for id, unfinished := range left {
		if err := s.end(ctx, id, unfinished); err != nil {
			s.leave(id, unfinished)
		}
	}
}

// Ended takes a process's groups over: of a dead one the halves wait, of one
// that left in peace the suspected ranges. It is safe to repeat.
func (s *Store) Ended(ctx context.Context, tx *sql.Tx, worker string, died bool) error {
	groups, _, err := s.read(ctx, tx, `worker = $1`, worker)
	if err != nil || len(groups) == 0 {
		return err
	}
	queues := map[string][]Group{}
	for _, g := range groups {
		if died || g.Suspect {
			queues[g.Queue] = append(queues[g.Queue], g)
		}
	}
	if _, err := tx.ExecContext(ctx, s.db.SQL(`DELETE FROM suspect_groups WHERE worker = $1`), worker); err != nil {
		return fmt.Errorf("taking over the groups of a worker: %w", err)
	}
	for queue, had := range queues {
		waits := had
		if died {
			waits = Halve(had, len(groups) == 1)
		}
		var waiting int
		if err := tx.QueryRowContext(ctx, s.db.SQL(`SELECT count(*) FROM suspect_groups WHERE queue = $1 AND worker = ''`), queue).Scan(&waiting); err != nil {
			return fmt.Errorf("taking over the groups of a worker: %w", err)
		}
		for _, g := range waits[:min(len(waits), max(0, maxWaiting-waiting))] {
			g.ID = rand.Text()
			if err := s.insert(ctx, tx, g, ""); err != nil {
				return err
			}
		}
	}
	return nil
}

// Prune forgets ranges to which nobody has come back for long: those of a
// death whose messages are all handled meanwhile.
func (s *Store) Prune(ctx context.Context) error {
	now := fleet.Now(s.db)
	err := s.db.Update(ctx, database.Relaxed, func(ctx context.Context, tx *sql.Tx) error {
		_, err := tx.ExecContext(ctx, s.db.SQL(`DELETE FROM suspect_groups
			WHERE worker = '' AND (identity = '' AND changed_at < `+now+` - $1 OR changed_at < `+now+` - $2)`), rangeKept.Microseconds(), accusedKept.Microseconds())
		return err
	})
	if err != nil {
		return fmt.Errorf("pruning ranges of messages that came back: %w", err)
	}
	return nil
}

func (s *Store) insert(ctx context.Context, tx *sql.Tx, g Group, worker string) error {
	suspect := 0
	if g.Suspect {
		suspect = 1
	}
	_, err := tx.ExecContext(ctx, s.db.SQL(`INSERT INTO suspect_groups (id, queue, lo, mid, hi, worker, suspect, identity, requeues, deaths, changed_at)
		VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, `+fleet.Now(s.db)+`)`),
		g.ID, g.Queue, int64(g.Lo), int64(g.Mid), int64(g.Hi), worker, suspect, g.Identity, g.Requeues, g.Deaths)
	if err != nil {
		return fmt.Errorf("writing a group of messages that came back: %w", err)
	}
	return nil
}

// querier is a transaction, or a pool.
type querier interface {
	QueryContext(ctx context.Context, query string, args ...any) (*sql.Rows, error)
}

func (s *Store) read(ctx context.Context, from querier, where string, arg any) (groups []Group, workers []string, err error) {
	rows, err := from.QueryContext(ctx, s.db.SQL(`SELECT id, queue, lo, mid, hi, worker, suspect, identity, requeues, deaths
		FROM suspect_groups WHERE `+where+` ORDER BY id`), arg)
	if err != nil {
		return nil, nil, fmt.Errorf("reading groups of messages that came back: %w", err)
	}
	defer rows.Close()
	for rows.Next() {
		var g Group
		var lo, mid, hi int64
		var worker string
		var suspect int
		if err := rows.Scan(&g.ID, &g.Queue, &lo, &mid, &hi, &worker, &suspect, &g.Identity, &g.Requeues, &g.Deaths); err != nil {
			return nil, nil, fmt.Errorf("reading groups of messages that came back: %w", err)
		}
		g.Lo, g.Mid, g.Hi, g.Suspect = uint32(lo), uint32(mid), uint32(hi), suspect != 0
		groups, workers = append(groups, g), append(workers, worker)
	}
	if err := rows.Err(); err != nil {
		return nil, nil, fmt.Errorf("reading groups of messages that came back: %w", err)
	}
	return groups, workers, nil
}
