package fleet

import (
	"context"
	"crypto/rand"
	"database/sql"
	"encoding/json"
	"fmt"
	"log/slog"
	"math"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/answerfeed/answerfeed/app/database"
)

const (
	beatEvery = time.Second
	// beatWithin bounds one beat, and leaveWithin the end of a member.
	beatWithin, leaveWithin = 5 * time.Second, 2 * time.Second
)

// Options are what a worker tells of itself.
type Options struct {
	Version string
	// Runs are the queues that it reads.
	Runs []string
	// InFlight is how many messages of each queue it handles. May be nil.
	InFlight func() map[string]int
	// Ended runs in the transaction that removes a worker's row, of a dead
	// worker, or of this one when it leaves. It may run again for the same
	// worker. May be nil.
	Ended func(ctx context.Context, tx *sql.Tx, id string, died bool) error
	// Beaten runs after each beat that succeeded. May be nil.
	Beaten func(ctx context.Context)
	Logger *slog.Logger
	// Registerer takes the metric of deaths. May be nil.
	Registerer prometheus.Registerer
}

// Member is this process in the list. It is safe for concurrent use.
type Member struct {
	db     *database.DB
	opts   Options
	kernel kernel
	self   Worker
	runs   string // as JSON
	beats  atomic.Int64
	deaths prometheus.Counter

	mu   sync.Mutex
	seen *observer

	stop    context.CancelFunc
	done    chan struct{}
	failing bool // the last beat failed; of run alone
}

// Join puts this process into the list, and keeps it there until Leave.
func Join(ctx context.Context, db *database.DB, opts Options) (*Member, error) {
	host, _ := os.Hostname() // for people; the id tells workers apart
	m := &Member{db: db, opts: opts, kernel: thisKernel(host), seen: newObserver(), done: make(chan struct{})}
	m.self = Worker{ID: rand.Text(), Host: host, PID: os.Getpid(), Version: opts.Version, StartedAt: time.Now(), machine: m.kernel.machine}
	m.self.birth = m.kernel.birth(m.self.PID)
	runs, err := json.Marshal(opts.Runs)
	if err != nil {
		return nil, fmt.Errorf("joining the list of workers: %w", err)
	}
	m.runs = string(runs)
	m.deaths = prometheus.NewCounter(prometheus.CounterOpts{
		Name: "answerfeed_worker_deaths_total",
		Help: "Workers that died, as this process was the first to find.",
	})
	if opts.Registerer != nil {
		if err := opts.Registerer.Register(m.deaths); err != nil {
			return nil, fmt.Errorf("joining the list of workers: %w", err)
		}
	}
	if err := m.beat(ctx); err != nil {
		return nil, fmt.Errorf("joining the list of workers: %w", err)
	}
	ctx, m.stop = context.WithCancel(context.WithoutCancel(ctx))
	go m.run(ctx)
	return m, nil
}

// ID is this process among all workers. It is another after each start.
func (m *Member) ID() string { return m.self.ID }

// Leave takes this process out of the list. When the database does not answer,
// the row stays, and others find that its process is gone.
func (m *Member) Leave() {
	m.stop()
	<-m.done
	ctx, cancel := context.WithTimeout(context.Background(), leaveWithin)
	defer cancel()
	err := m.db.Update(ctx, database.Relaxed, func(ctx context.Context, tx *sql.Tx) error {
		if _, err := tx.ExecContext(ctx, m.db.SQL(`DELETE FROM workers WHERE id = $1`), m.self.ID); err != nil {
			return err
		}
		return m.ended(ctx, tx, m.self.ID, false)
	})
	if err != nil {
		m.opts.Logger.Warn("this worker stays in the list of workers until another finds that it is gone", "error", err)
	}
}

func (m *Member) ended(ctx context.Context, tx *sql.Tx, id string, died bool) error {
	if m.opts.Ended == nil {
		return nil
	}
	return m.opts.Ended(ctx, tx, id, died)
}

func (m *Member) run(ctx context.Context) {
	defer close(m.done)
	tick := time.NewTicker(beatEvery)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		err := m.beat(ctx)
		if ctx.Err() != nil {
			return
		}
		if failing := err != nil; failing != m.failing {
			m.failing = failing
			if failing {
				m.opts.Logger.Warn("the sign of life of this worker cannot be written; trying again each second", "error", err)
			} else {
				m.opts.Logger.Info("the sign of life of this worker is written again")
			}
		}
	}
}

// beat writes this process's row, reads the others', and buries the dead.
func (m *Member) beat(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, beatWithin)
	defer cancel()
	m.mu.Lock()
	m.seen.begin()
	m.mu.Unlock()
	err := m.db.Update(ctx, database.Relaxed, m.Beat)
	var others []*Worker
	if err == nil {
		others, err = list(ctx, m.db)
	}
	m.mu.Lock()
	if err != nil {
		m.seen.failed()
		m.mu.Unlock()
		return err
	}
	now := time.Now()
	m.seen.end(now, others)
	var dead []*Worker
	for _, w := range others {
		if w.ID != m.self.ID && m.stateOf(w, now) == Dead {
			dead = append(dead, w)
		}
	}
	m.mu.Unlock()
	for _, w := range dead {
		if err := m.bury(ctx, w); err != nil {
			return err
		}
	}
	if m.opts.Beaten != nil {
		m.opts.Beaten(ctx)
	}
	return nil
}

// stateOf asks the kernel, and where that cannot tell, the beats.
func (m *Member) stateOf(w *Worker, now time.Time) State {
	if state := m.kernel.verdict(w); state != Unknown {
		return state
	}
	if s := m.seen.seen[w.ID]; s != nil && s.silent(now) {
		return Dead
	}
	return Unknown
}

// Beat is one sign of life, in a transaction: nobody takes this worker for
// dead before that has ended. The row is made again if it is gone.
func (m *Member) Beat(ctx context.Context, tx *sql.Tx) error {
	inFlight := []byte("{}")
	if m.opts.InFlight != nil {
		var err error
		if inFlight, err = json.Marshal(m.opts.InFlight()); err != nil {
			return fmt.Errorf("writing a sign of life: %w", err)
		}
	}
	now := Now(m.db)
	_, err := tx.ExecContext(ctx, m.db.SQL(`INSERT INTO workers (id, host, machine, pid, birth, version, started_at, seen_at, beats, runs, in_flight)
		VALUES ($1, $2, $3, $4, $5, $6, $7, `+now+`, $8, $9, $10)
		ON CONFLICT (id) DO UPDATE SET beats = excluded.beats, seen_at = excluded.seen_at, in_flight = excluded.in_flight`),
		m.self.ID, m.self.Host, m.self.machine, m.self.PID, m.self.birth, m.self.Version, m.self.StartedAt.UnixMicro(), m.beats.Add(1), m.runs, string(inFlight))
	if err != nil {
		return fmt.Errorf("writing a sign of life: %w", err)
	}
	return nil
}

// Look counts the looks that this process has had at the list.
func (m *Member) Look() int64 {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.seen.looks
}

// Sight says whether a worker is dead, and else the look that proves its life:
// whoever asked before that look began, by [Member.Look], knows that the worker
// lived afterwards. It is 0 for a worker of which nothing is known.
func (m *Member) Sight(ctx context.Context, id string) (proof int64, dead bool, err error) {
	w, err := one(ctx, m.db, id)
	if err != nil {
		return 0, false, err
	}
	if w == nil { // its row is written before all else, and removed with all else
		return 0, true, nil
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	switch m.stateOf(w, time.Now()) {
	case Dead:
		return 0, true, nil
	case Alive:
		return math.MaxInt64, false, nil
	case Unknown:
	}
	if s := m.seen.seen[id]; s != nil {
		return s.before, false, nil // another beat was found after that
	}
	return 0, false, nil
}

// Bury removes a dead worker's row, if no other process has, and it is dead.
func (m *Member) Bury(ctx context.Context, id string) error {
	w, err := one(ctx, m.db, id)
	if err != nil {
		return err
	}
	if w == nil {
		w = &Worker{ID: id}
	}
	return m.bury(ctx, w)
}

// bury removes the row only as it was seen: a beat in between is a life.
func (m *Member) bury(ctx context.Context, w *Worker) error {
	buried := false
	err := m.db.Update(ctx, database.Relaxed, func(ctx context.Context, tx *sql.Tx) error {
		result, err := tx.ExecContext(ctx, m.db.SQL(`DELETE FROM workers WHERE id = $1 AND beats = $2`), w.ID, w.beats)
		if err != nil {
			return err
		}
		n, err := result.RowsAffected()
		if err != nil {
			return err
		}
		buried = n == 1
		var lives bool
		if err := tx.QueryRowContext(ctx, m.db.SQL(`SELECT EXISTS (SELECT 1 FROM workers WHERE id = $1)`), w.ID).Scan(&lives); err != nil {
			return err
		}
		if lives {
			return nil
		}
		return m.ended(ctx, tx, w.ID, true)
	})
	if err != nil {
		return fmt.Errorf("removing a dead worker from the list: %w", err)
	}
	if buried {
		m.deaths.Inc()
		m.opts.Logger.Warn("a worker has died", "worker", w.ID, "host", w.Host, "pid", w.PID)
	}
	return nil
}
