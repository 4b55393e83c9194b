package deadletter

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/answerfeed/answerfeed/app/database"
)

// ErrNotFound: there is no letter with this id.
var ErrNotFound = errors.New("no such dead letter")

// saveBatch is how many letters share a commit: at 1 MiB each, as much as one
// window takes into work.
const saveBatch = 64

// Store keeps letters in the database. It is safe for concurrent use.
type Store struct {
	db   *database.DB
	save *database.Batcher[*Letter]
}

// New returns a store whose letters survive what d says. Close it before db.
func New(db *database.DB, d database.Durability) *Store {
	s := &Store{db: db}
	s.save = database.NewBatcher(db, d, saveBatch, s.insert)
	return s
}

// Close waits for what is being saved.
func (s *Store) Close() { s.save.Close() }

// Save stores a letter, and returns when it is committed. ID, Fingerprint and
// State are filled in. A letter that is there already stays as it is.
func (s *Store) Save(ctx context.Context, l *Letter) error {
	l.complete()
	if err := s.save.Do(ctx, l); err != nil {
		return fmt.Errorf("storing the dead letter %s: %w", l.ID, err)
	}
	return nil
}

func (s *Store) insert(ctx context.Context, tx *sql.Tx, letters []*Letter) error {
	letter, err := tx.PrepareContext(ctx, s.db.SQL(`INSERT INTO dead_letters (id, handler, topic, identity, requeues, state, reason, fingerprint,
		correlation_id, attempts, redeliveries, first_failed_at, last_failed_at, error, uuid, metadata, payload)
		VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17) ON CONFLICT DO NOTHING`))
	if err != nil {
		return fmt.Errorf("preparing: %w", err)
	}
	defer letter.Close()
	group, err := tx.PrepareContext(ctx, s.db.SQL(`INSERT INTO dead_letter_groups (fingerprint, handler, topic, reason, error, letters, first_failed_at, last_failed_at)
		VALUES ($1, $2, $3, $4, $5, 1, $6, $7) ON CONFLICT (fingerprint, topic) DO UPDATE SET letters = dead_letter_groups.letters + 1,
		first_failed_at = min(dead_letter_groups.first_failed_at, excluded.first_failed_at),
		last_failed_at = max(dead_letter_groups.last_failed_at, excluded.last_failed_at)`))
	if err != nil {
		return fmt.Errorf("preparing: %w", err)
	}
	defer group.Close()
	for _, l := range letters {
		metadata, err := l.metadata()
		if err != nil {
			return err
		}
		first, last := l.FirstFailedAt.UnixMicro(), l.LastFailedAt.UnixMicro()
		result, err := letter.ExecContext(ctx, l.ID, l.Handler, l.Topic, l.Identity, l.Requeues, string(l.State), l.Reason, l.Fingerprint,
			l.CorrelationID, l.Attempts, l.Redeliveries, first, last, l.Error, l.UUID, metadata, append([]byte{}, l.Payload...))
		if err != nil {
			return fmt.Errorf("inserting: %w", err)
		}
		if n, err := result.RowsAffected(); err != nil || n == 0 {
			if err != nil {
				return fmt.Errorf("inserting: %w", err)
			}
			continue // it was there
		}
		if _, err := group.ExecContext(ctx, l.Fingerprint, l.Handler, l.Topic, l.Reason, l.Error, first, last); err != nil {
			return fmt.Errorf("counting: %w", err)
		}
	}
	return nil
}

// Get returns one letter, or [ErrNotFound].
func (s *Store) Get(ctx context.Context, id string) (*Letter, error) {
	l := &Letter{ID: id}
	var first, last int64
	var metadata string
	err := s.db.Read().QueryRowContext(ctx, s.db.SQL(`SELECT handler, topic, identity, requeues, state, reason, fingerprint, correlation_id,
		attempts, redeliveries, first_failed_at, last_failed_at, error, uuid, metadata, payload FROM dead_letters WHERE id = $1`), id).
		Scan(&l.Handler, &l.Topic, &l.Identity, &l.Requeues, &l.State, &l.Reason, &l.Fingerprint, &l.CorrelationID,
			&l.Attempts, &l.Redeliveries, &first, &last, &l.Error, &l.UUID, &metadata, &l.Payload)
	if errors.Is(err, sql.ErrNoRows) {
		return nil, fmt.Errorf("%w: %s", ErrNotFound, id)
	}
	if err != nil {
		return nil, fmt.Errorf("reading the dead letter %s: %w", id, err)
	}
	l.FirstFailedAt, l.LastFailedAt = time.UnixMicro(first).UTC(), time.UnixMicro(last).UTC()
	if err := json.Unmarshal([]byte(metadata), &l.Metadata); err != nil {
		return nil, fmt.Errorf("reading the metadata of letter %s: %w", id, err)
	}
	return l, nil
}

// Newest returns the ids of the letters that failed last, newest first.
func (s *Store) Newest(ctx context.Context, limit int) ([]string, error) {
	rows, err := s.db.Read().QueryContext(ctx, s.db.SQL(`SELECT id FROM dead_letters WHERE state = $1 ORDER BY last_failed_at DESC, id DESC LIMIT $2`), string(Dead), limit)
	if err != nil {
		return nil, fmt.Errorf("listing dead letters: %w", err)
	}
	defer rows.Close()
	var ids []string
	for rows.Next() {
		var id string
		if err := rows.Scan(&id); err != nil {
			return nil, fmt.Errorf("listing dead letters: %w", err)
		}
		ids = append(ids, id)
	}
	if err := rows.Err(); err != nil {
		return nil, fmt.Errorf("listing dead letters: %w", err)
	}
	return ids, nil
}

// Queue names a handler's queue on a topic.
type Queue struct{ Handler, Topic string }

// Counts returns how many letters wait for a person, from kept counts.
func (s *Store) Counts(ctx context.Context) (map[Queue]int64, error) {
	rows, err := s.db.Read().QueryContext(ctx, `SELECT handler, topic, sum(letters) FROM dead_letter_groups GROUP BY handler, topic`)
	if err != nil {
		return nil, fmt.Errorf("counting dead letters: %w", err)
	}
	defer rows.Close()
	counts := map[Queue]int64{}
	for rows.Next() {
		var q Queue
		var n int64
		if err := rows.Scan(&q.Handler, &q.Topic, &n); err != nil {
			return nil, fmt.Errorf("counting dead letters: %w", err)
		}
		counts[q] = n
	}
	if err := rows.Err(); err != nil {
		return nil, fmt.Errorf("counting dead letters: %w", err)
	}
	return counts, nil
}
