package deadletter

import (
	"cmp"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"slices"

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
	sql  dialect
	save *database.Batcher[*Letter]
}

// New returns a store whose letters survive what d says. Close it before db.
func New(db *database.DB, d database.Durability) *Store {
	s := &Store{db: db, sql: dialectOf(db)}
	s.save = database.NewOwnBatcher(db, d, saveBatch, s.insert)
	return s
}

// Close waits for what is being saved.
func (s *Store) Close() { s.save.Close() }

// Save stores a letter, and returns when it is committed. ID, Fingerprint,
// State and Size are filled in, and what is no text in its texts is replaced.
//
// A letter that is dead already stays as it is. One that was requeued or
// discarded is dead again if this is another failure, that is one at another
// time: the same message was published again, say, and failed again.
func (s *Store) Save(ctx context.Context, l *Letter) error {
	l.complete()
	if err := s.save.Do(ctx, l); err != nil {
		return fmt.Errorf("storing the dead letter %s: %w", l.ID, err)
	}
	return nil
}

const insertLetter = `INSERT INTO dead_letters (id, handler, topic, identity, requeues, state, reason, fingerprint,
	correlation_id, attempts, redeliveries, first_failed_at, last_failed_at, error, uuid, metadata, payload)
	VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17)
	ON CONFLICT (id) DO UPDATE SET state = excluded.state, reason = excluded.reason, fingerprint = excluded.fingerprint,
	correlation_id = excluded.correlation_id, attempts = excluded.attempts, redeliveries = excluded.redeliveries,
	first_failed_at = excluded.first_failed_at, last_failed_at = excluded.last_failed_at, error = excluded.error,
	uuid = excluded.uuid, metadata = excluded.metadata, payload = excluded.payload,
	requeued_at = NULL, discarded_at = NULL, repaired = NULL
	WHERE dead_letters.state <> excluded.state AND dead_letters.last_failed_at <> excluded.last_failed_at`

// insert takes the letters in the order of their ids, and then the groups in
// the order of their keys, as everybody does who changes more than one: so no
// two of them wait for each other.
func (s *Store) insert(ctx context.Context, tx *sql.Tx, letters []*Letter) error {
	letters = slices.Clone(letters)
	slices.SortStableFunc(letters, func(a, b *Letter) int { return cmp.Compare(a.ID, b.ID) })
	stmt, err := tx.PrepareContext(ctx, s.db.SQL(insertLetter))
	if err != nil {
		return fmt.Errorf("preparing: %w", err)
	}
	defer stmt.Close()
	changes := tally{}
	for _, l := range letters {
		metadata, err := l.metadata()
		if err != nil {
			return err
		}
		result, err := stmt.ExecContext(ctx, l.ID, l.Handler, l.Topic, l.Identity, l.Requeues, string(l.State), l.Reason, l.Fingerprint,
			l.CorrelationID, l.Attempts, l.Redeliveries, l.FirstFailedAt.UnixMicro(), l.LastFailedAt.UnixMicro(),
			l.Error, l.UUID, metadata, append([]byte{}, l.Payload...))
		if err != nil {
			return fmt.Errorf("inserting: %w", err)
		}
		n, err := result.RowsAffected()
		if err != nil {
			return fmt.Errorf("inserting: %w", err)
		}
		if n > 0 { // else it was there
			changes.add(l, 1)
		}
	}
	return changes.apply(ctx, tx, s.db, s.sql)
}

// Get returns one letter, or [ErrNotFound].
func (s *Store) Get(ctx context.Context, id string) (*Letter, error) { return get(ctx, s.db, id) }

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
	rows, err := s.db.Read().QueryContext(ctx, `SELECT handler, topic, sum(letters) FROM dead_letter_groups WHERE letters > 0 GROUP BY handler, topic`)
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
